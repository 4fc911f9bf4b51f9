// The wafers of a program as SVG: their regions, what each holds, and the way of a token. PEs are drawn higher than wide
// so that a wafer is square, as it is.

import { escapeXml } from '../../../core/index.ts';
import type { PlacementReport, StageReport } from './placement.ts';

const SIDE = 420;
const MARGIN = 24;
const HEAD = 52;
const LEGEND = 40;
/** Wafers side by side. */
const COLUMNS = 4;
/** More wafers than this show nothing more. */
const MOST = 12;
/** Smaller letters than this, in units of the picture, are not read. */
const LEAST_LETTER = 7;

/** The fuller the PEs, the darker: blue for layers, green where the embedding or the head is. */
const shadeOf = ({ memory, hasEmbedding, hasHead }: StageReport): string => {
  const full = 1 - memory.free / memory.capacity;
  const lightness = 94 - 27 * Math.max(0, Math.min(1, full));
  return `hsl(${hasEmbedding || hasHead ? 150 : 212} 45% ${lightness.toFixed(1)}%)`;
};

export function drawPlacement(
  report: PlacementReport,
  program: { readonly width: number; readonly height: number },
): string {
  const { placement, model } = report;
  const shown = Math.min(placement.wafers, MOST);
  const columns = Math.min(shown, COLUMNS);
  const rows = Math.ceil(shown / columns);
  const cell = SIDE + MARGIN;
  const [width, height] = [MARGIN + columns * cell, HEAD + rows * (cell + 16) + LEGEND];
  const title = `${model.name} on ${placement.wafers} ${placement.target} wafer${placement.wafers === 1 ? '' : 's'} (simulated)`;
  const wafers = Array.from({ length: shown }, (_, wafer) => {
    const [left, top] = [MARGIN + (wafer % columns) * cell, HEAD + Math.floor(wafer / columns) * (cell + 16) + 16];
    const across = (x: number): number => left + (x * SIDE) / program.width;
    const down = (y: number): number => top + (y * SIDE) / program.height;
    const here = placement.stages.filter((stage) => stage.wafer === wafer);
    const middle = ({ region }: StageReport): string =>
      `${across(region.x + region.width / 2).toFixed(1)},${down(region.y + region.height / 2).toFixed(1)}`;
    return [
      `<text x="${left}" y="${top - 5}">wafer ${wafer + 1}</text>`,
      `<rect x="${left}" y="${top}" width="${SIDE}" height="${SIDE}" fill="#f4f4f0" stroke="#666"/>`,
      ...here.map((stage) => regionOf(stage, across, down)),
      `<polyline points="${here.map(middle).join(' ')}" fill="none" stroke="#c2410c" stroke-width="2" marker-end="url(#to)"/>`,
    ].join('\n');
  });
  const more = placement.wafers > shown ? `; ${placement.wafers - shown} more wafers like these` : '';
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">`,
    `<title>${escapeXml(title)}</title>`,
    '<defs><marker id="to" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0L6 3L0 6z" fill="#c2410c"/></marker></defs>',
    '<rect width="100%" height="100%" fill="#fff"/>',
    `<text x="${MARGIN}" y="26" font-size="16">${escapeXml(title)}</text>`,
    ...wafers,
    `<text x="${MARGIN}" y="${height - 16}">darker: fuller PEs; green: embedding and head; grey: in no region; line: the way of a token${more}</text>`,
    '</svg>',
  ].join('\n')}\n`;
}

function regionOf(stage: StageReport, across: (x: number) => number, down: (y: number) => number): string {
  const { x, y, width, height } = stage.region;
  const [w, h] = [across(x + width) - across(x), down(y + height) - down(y)];
  const layers = stage.toLayer - stage.fromLayer;
  const names = [
    ...(stage.hasEmbedding ? ['embedding'] : []),
    ...(layers === 0 ? [] : [layers === 1 ? `${stage.fromLayer}` : `${stage.fromLayer}-${stage.toLayer - 1}`]),
    ...(stage.hasHead ? ['head'] : []),
  ].join(', ');
  const used = stage.memory.capacity - stage.memory.free;
  const letter = Math.min(12, h * 0.6, (w / Math.max(1, names.length)) * 1.6);
  const label =
    letter < LEAST_LETTER
      ? ''
      : `<text x="${(across(x) + 4).toFixed(1)}" y="${(down(y) + letter + 1).toFixed(1)}" font-size="${letter.toFixed(1)}">${names}</text>`;
  return (
    `<g><title>${names}: ${width} x ${height} PEs, ${used} B of ${stage.memory.capacity} B in use, ` +
    `${(stage.secondsPerToken * 1e6).toFixed(1)} µs a token</title>` +
    `<rect x="${across(x).toFixed(1)}" y="${down(y).toFixed(1)}" width="${w.toFixed(1)}" height="${h.toFixed(1)}" fill="${shadeOf(stage)}" stroke="#fff"/>${label}</g>`
  );
}
