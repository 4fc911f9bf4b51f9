// The hottest wafer as SVG, a square per die.

import { escapeXml } from '../../../core/index.ts';
import { colorAt, SCALE_GRADIENT } from './heat-map.ts';
import type { EnergyReport } from './energy.ts';

const SIDE = 700;
const MARGIN = 24;
const TITLE = 34;
const SCALE = 54;

export function drawHeat({ model, heat, inFlight, wafers }: EnergyReport): string {
  const { columns, rows, temperature, hottest, coolest } = heat;
  // Dies are drawn as wide as they are in a square wafer.
  const across = SIDE / columns;
  const down = SIDE / rows;
  const span = Math.max(hottest - coolest, 1e-9);
  const top = MARGIN + TITLE;
  const title = `${model.name}${wafers === 1 ? '' : `, wafer ${heat.wafer + 1} of ${wafers}`}, ${inFlight} in flight: ${coolest.toFixed(1)} to ${hottest.toFixed(1)} °C (simulated)`;
  const cells = temperature.map((degrees, i) => {
    const x = MARGIN + (i % columns) * across;
    const y = top + Math.floor(i / columns) * down;
    const share = (degrees - coolest) / span;
    const [red, green, blue] = colorAt(share);
    return (
      `<rect x="${x.toFixed(2)}" y="${y.toFixed(2)}" width="${across.toFixed(2)}" height="${down.toFixed(2)}" fill="rgb(${red},${green},${blue})" stroke="#fff"/>` +
      `<text x="${(x + across / 2).toFixed(2)}" y="${(y + down / 2 + 5).toFixed(2)}" text-anchor="middle" fill="${share > 0.6 ? '#222' : '#fff'}">${degrees.toFixed(1)}</text>`
    );
  });
  const scaleY = top + SIDE + 14;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIDE + 2 * MARGIN} ${top + SIDE + SCALE}" font-family="sans-serif" font-size="13">`,
    `<title>${escapeXml(title)}</title>`,
    SCALE_GRADIENT,
    '<rect width="100%" height="100%" fill="#fff"/>',
    `<text x="${MARGIN}" y="${MARGIN + 14}" font-size="16">${escapeXml(title)}</text>`,
    ...cells,
    `<rect x="${MARGIN}" y="${scaleY}" width="300" height="10" fill="url(#scale)"/>`,
    `<text x="${MARGIN}" y="${scaleY + 26}">${coolest.toFixed(1)} °C</text>`,
    `<text x="${MARGIN + 300}" y="${scaleY + 26}" text-anchor="end">${hottest.toFixed(1)} °C</text>`,
    '</svg>',
  ].join('\n')}\n`;
}
