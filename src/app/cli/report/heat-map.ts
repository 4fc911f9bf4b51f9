// Where a mesh was busy, where it waited, and how full its links were: three panels, one cell per PE.

import { escapeXml, formatCount } from '../../../core/index.ts';
import type { PerPe, PointReport } from '../../simulate/point.ts';
import { encodePng, type Picture } from './png.ts';

interface Panel {
  readonly name: string;
  readonly about: string;
  readonly values: Int32Array;
}

const panelsOf = ({ busy, stalled, link }: PerPe): readonly Panel[] => [
  { name: 'Busy', about: 'the CE executes', values: busy },
  { name: 'Stalled', about: 'begun, but waiting; start-ups included', values: stalled },
  { name: 'Link load', about: 'a wavelet on the fullest outgoing link', values: link },
];

/** Colors of the scale; two more for paper and ink. */
const LEVELS = 254;
const PAPER = LEVELS;
const INK = LEVELS + 1;

/**
 * The color map viridis, whose lightness grows evenly, as polynomials in t for red, green and blue, constant first.
 * Source of the coefficients: M. Zucker, shadertoy.com/view/WlfXRN (CC0).
 */
const viridis = [
  [0.27772733, 0.10509304, -0.33086183, -4.6342305, 6.22826994, 4.776385, -5.43545586],
  [0.00540734, 1.40461353, 0.21484756, -5.79910097, 14.17993337, -13.74514538, 4.64585261],
  [0.33409981, 1.38459016, 0.09509516, -19.33244096, 56.6905526, -65.35303263, 26.31243525],
] as const;

export function colorAt(t: number): readonly [number, number, number] {
  const [red, green, blue] = viridis.map((coefficients) => {
    const value = coefficients.reduceRight((sum, c) => sum * t + c, 0);
    return Math.round(255 * Math.min(1, Math.max(0, value)));
  });
  return [red, green, blue];
}

/** The scale as SVG, to fill a bar with. */
export const SCALE_GRADIENT = `<defs><linearGradient id="scale">${Array.from({ length: 17 }, (_, i) => {
  const [red, green, blue] = colorAt(i / 16);
  return `<stop offset="${i / 16}" stop-color="rgb(${red},${green},${blue})"/>`;
}).join('')}</linearGradient></defs>`;

const palette = [
  ...Array.from({ length: LEVELS }, (_, i) => colorAt(i / (LEVELS - 1))),
  [255, 255, 255],
  [34, 34, 34],
] as const;

/** The top of a scale in percent: the next number that reads well. */
export function scaleTop(share: number): number {
  const percent = Math.min(100, Math.max(share * 100, 0.1));
  const power = 10 ** Math.floor(Math.log10(percent));
  const step = [1, 2, 3, 4, 5, 6, 8, 10].find((n) => n * power >= percent - 1e-9) ?? 10;
  return Math.min(100, Number((step * power).toPrecision(3)));
}

interface Scaled {
  readonly panel: Panel;
  /** Percent of all cycles at the end of the scale. */
  readonly top: number;
  readonly mean: number;
  readonly most: number;
  /** One pixel per PE. */
  readonly pixels: Uint8Array;
}

function scale(panel: Panel, cycles: number): Scaled {
  let sum = 0;
  let largest = 0;
  for (const n of panel.values) {
    sum += n;
    if (n > largest) largest = n;
  }
  const of = Math.max(cycles, 1);
  const top = scaleTop(largest / of);
  const perLevel = (top / 100) * of;
  const pixels = Uint8Array.from(panel.values, (n) => Math.round((LEVELS - 1) * Math.min(1, n / perLevel)));
  return { panel, top, mean: (sum / panel.values.length / of) * 100, most: (largest / of) * 100, pixels };
}

export function titleOf({ kernel, mesh, wafer, type, sizes, cycles }: PointReport): string {
  const chosen = Object.entries(sizes).map(([name, value]) => `${name} ${formatCount(value)}`);
  return (
    `${kernel} on ${mesh.width} x ${mesh.height} PEs of ${wafer.name}, ${[...chosen, type].join(', ')}: ` +
    `${formatCount(cycles)} cycles (simulated)`
  );
}

const MARGIN = 24;
const AXIS = 34;
const GAP = 44;
const CAPTION = 60;
/** Room for the lines of a caption. */
const MIN_PITCH = 250;
const LEGEND = 46;
const MIN_SIDE = 30;
/** A panel's longer side, unless one unit per PE needs more; of a strip, the whole line. */
const SIDE = 440;
const LONG_SIDE = 3 * SIDE + 2 * GAP;
const MAX_CELL = 56;
/** Times longer than wide from which a mesh is a strip. */
const STRIP = 3;
const BAR = 10;

const percentText = (value: number): string => `${Number(value.toPrecision(3))} %`;

/** Title, panels with axes, and scales as text and lines; the cells as an image of one pixel per PE. */
export function drawHeatMap(report: PointReport, perPe: PerPe): string {
  const { width, height } = report.mesh;
  const isStrip = width > STRIP * height;
  const cell = Math.max(1, Math.min(MAX_CELL, isStrip ? LONG_SIDE / width : SIDE / Math.max(width, height)));
  const across = Math.max(MIN_SIDE, width * cell);
  const down = Math.max(MIN_SIDE, height * cell);
  const pitch = Math.max(across, MIN_PITCH);
  const stepX = isStrip ? 0 : AXIS + pitch + GAP;
  const stepY = isStrip ? CAPTION + down + LEGEND + GAP / 2 : 0;
  const panels = panelsOf(perPe).map((panel) => scale(panel, report.cycles));
  const sheetWidth = Math.max(2 * MARGIN + AXIS + 2 * stepX + pitch, 900);
  const sheetHeight = 2 * MARGIN + 30 + CAPTION + 2 * stepY + down + LEGEND;

  const drawn = panels.map(({ panel, top, mean, most, pixels }, i) => {
    const x = MARGIN + AXIS + i * stepX;
    const y = MARGIN + 30 + CAPTION + i * stepY;
    const png = encodePng(enlarged({ width, height, pixels, palette })).toString('base64');
    const bar = y + down + 24;
    const barWidth = Math.min(pitch, 300);
    const text = (tx: number, ty: number, content: string, attributes = ''): string =>
      `<text x="${fixed(tx)}" y="${fixed(ty)}"${attributes}>${escapeXml(content)}</text>`;
    return [
      text(x, y - 42, panel.name, ' font-size="16" font-weight="bold"'),
      text(x, y - 25, panel.about, ' fill="#555"'),
      text(x, y - 9, `mean ${percentText(mean)}, most ${percentText(most)} of cycles`, ' fill="#555"'),
      `<image x="${fixed(x)}" y="${fixed(y)}" width="${fixed(across)}" height="${fixed(down)}" preserveAspectRatio="none" style="image-rendering:optimizeSpeed;image-rendering:pixelated" href="data:image/png;base64,${png}"/>`,
      `<rect x="${fixed(x)}" y="${fixed(y)}" width="${fixed(across)}" height="${fixed(down)}" fill="none" stroke="#222" stroke-width="0.7"/>`,
      text(x, y + down + 15, '0', ' fill="#555"'),
      ...(width > 1 ? [text(x + across, y + down + 15, `x ${width - 1}`, ' fill="#555" text-anchor="end"')] : []),
      text(x - 6, y + 11, '0', ' fill="#555" text-anchor="end"'),
      ...(height > 1 ? [text(x - 6, y + down, `y ${height - 1}`, ' fill="#555" text-anchor="end"')] : []),
      `<rect x="${fixed(x)}" y="${fixed(bar)}" width="${barWidth}" height="${BAR}" fill="url(#scale)"/>`,
      text(x, bar + BAR + 14, '0'),
      text(x + barWidth / 2, bar + BAR + 14, '% of cycles', ' fill="#555" text-anchor="middle"'),
      text(x + barWidth, bar + BAR + 14, percentText(top), ' text-anchor="end"'),
    ].join('\n');
  });
  const title = escapeXml(titleOf(report));
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${fixed(sheetWidth)}" height="${fixed(sheetHeight)}" viewBox="0 0 ${fixed(sheetWidth)} ${fixed(sheetHeight)}" font-family="sans-serif" font-size="12">`,
    `<title>${title}</title>`,
    SCALE_GRADIENT,
    '<rect width="100%" height="100%" fill="#fff"/>',
    `<text x="${MARGIN + AXIS}" y="${MARGIN + 14}" font-size="18">${title}</text>`,
    ...drawn,
    '</svg>',
  ].join('\n')}\n`;
}

/** Cells of several pixels: some viewers smooth what they enlarge themselves. */
function enlarged(picture: Picture): Picture {
  const { width, height, pixels } = picture;
  const times = Math.max(1, Math.floor((2 * SIDE) / Math.max(width, height)));
  const large: Picture = {
    ...picture,
    width: width * times,
    height: height * times,
    pixels: new Uint8Array(width * height * times * times),
  };
  fill(large, 0, 0, large.width, large.height, (x, y) => pixels[Math.floor(y / times) * width + Math.floor(x / times)]);
  return large;
}

const fixed = (n: number): string => String(Number(n.toFixed(2)));

/** Pixels per PE in a picture without text. */
const pixelsPerPe = (mesh: number): number => Math.max(1, Math.min(MAX_CELL, Math.floor(SIDE / mesh)));
const FRAME = 8;

/** The panels alone, without text, each over its scale; their tops are in the title that viewers show. */
export function paintHeatMap(report: PointReport, perPe: PerPe): Buffer {
  const { width, height } = report.mesh;
  const panels = panelsOf(perPe).map((panel) => scale(panel, report.cycles));
  const isStrip = width > STRIP * height;
  const cell = pixelsPerPe(Math.max(width, height));
  const across = width * cell;
  const down = Math.max(height * cell, isStrip ? MIN_SIDE : 1);
  const boxHeight = down + 3 * FRAME + BAR;
  const boxWidth = across + 2 * FRAME;
  const sheet: Picture = {
    width: isStrip ? boxWidth : 3 * boxWidth,
    height: isStrip ? 3 * boxHeight : boxHeight,
    pixels: new Uint8Array(3 * boxWidth * boxHeight).fill(PAPER),
    palette,
  };
  panels.forEach(({ pixels }, i) => {
    const left = (isStrip ? 0 : i * boxWidth) + FRAME;
    const top = (isStrip ? i * boxHeight : 0) + FRAME;
    fill(sheet, left - 1, top - 1, across + 2, down + 2, () => INK);
    fill(sheet, left, top, across, down, (x, y) => {
      const row = Math.min(height - 1, Math.floor((y * height) / down));
      return pixels[row * width + Math.floor(x / cell)];
    });
    fill(sheet, left, top + down + FRAME, across, BAR, (x) => Math.round(((LEVELS - 1) * x) / Math.max(1, across - 1)));
  });
  const scales = panels.map(({ panel, top }) => `${panel.name} 0 to ${percentText(top)}`).join(', ');
  return encodePng(sheet, `${titleOf(report)}; of all cycles: ${scales}`);
}

function fill(
  { width, pixels }: Picture,
  left: number,
  top: number,
  across: number,
  down: number,
  color: (x: number, y: number) => number,
): void {
  for (let y = 0; y < down; y++) for (let x = 0; x < across; x++) pixels[(top + y) * width + left + x] = color(x, y);
}
