// The wafer as SVG: one unit is one PE across; PEs are drawn higher than wide so that the wafer is square, as it is.

import { escapeXml } from '../../../core/index.ts';
import { dieEdge, homeOf } from '../../../wafer/index.ts';
import type { YieldReport } from './yield.ts';

const SIDE = 1000;
const MARGIN = 20;
const LEGEND = 60;

export function drawYield(report: YieldReport): string {
  const { structure, map, repaired, figures } = report;
  const { width, height, logicalWidth, logicalHeight, dieColumns, dieRows } = structure;
  const across = (x: number): string => (MARGIN + (x * SIDE) / width).toFixed(2);
  const down = (y: number): string => (MARGIN + (y * SIDE) / height).toFixed(2);
  const line = (x1: number, y1: number, x2: number, y2: number): string =>
    `<line x1="${across(x1)}" y1="${down(y1)}" x2="${across(x2)}" y2="${down(y2)}"/>`;
  const rectangle = (x: number, y: number, w: number, h: number, attributes: string): string =>
    `<rect x="${across(x)}" y="${down(y)}" width="${((w * SIDE) / width).toFixed(2)}" height="${((h * SIDE) / height).toFixed(2)}" ${attributes}/>`;
  const inner = (count: number): number[] => Array.from({ length: count - 1 }, (_, i) => i + 1);
  const home = homeOf(structure);

  const dies = [
    ...inner(dieColumns).map((die) => {
      const x = dieEdge(die, width, dieColumns);
      return line(x, 0, x, height);
    }),
    ...inner(dieRows).map((die) => {
      const y = dieEdge(die, height, dieRows);
      return line(0, y, width, y);
    }),
  ];
  // The stretch of each shifted row whose PEs are not at home.
  const moved = [...repaired.shifted].map(([y, columns]) => {
    const away = columns.flatMap((x, i) => (x === home.x + i ? [] : [x]));
    const from = Math.min(...away);
    const to = Math.max(...away);
    return line(from, repaired.rows[y] + 0.5, to + 1, repaired.rows[y] + 0.5);
  });
  const retired = repaired.retiredRows.map((y) => line(0, y + 0.5, width, y + 0.5));
  const pes = map.deadPes.map(({ x, y }) => `<circle cx="${across(x + 0.5)}" cy="${down(y + 0.5)}" r="3"/>`);
  const links = map.deadLinks.map(({ x, y, side }) => {
    const [cx, cy] = side === 'east' ? [x + 1, y + 0.5] : [x + 0.5, y + 1];
    return `<circle cx="${across(cx)}" cy="${down(cy)}" r="3"/>`;
  });
  const { capacity } = figures;
  const title =
    `${report.wafer}: ${capacity.dead} dead PEs and ${map.deadLinks.length} dead links on ${width} x ${height} PEs; ` +
    `logical rectangle ${logicalWidth} x ${logicalHeight} (simulated)`;
  const keys: readonly (readonly [x: number, color: string, text: string])[] = [
    [0, '#c00', 'dead PE'],
    [130, '#e80', 'dead link'],
    [270, '#38c', 'shifted part of a row'],
    [480, '#888', 'row given up'],
    [650, '#000', 'logical rectangle without defects'],
  ];
  const legend = keys.map(
    ([x, color, text]) =>
      `<rect x="${MARGIN + x}" y="${SIDE + 2 * MARGIN + 22}" width="10" height="10" fill="${color}"/>` +
      `<text x="${MARGIN + x + 16}" y="${SIDE + 2 * MARGIN + 31}">${text}</text>`,
  );
  const group = (attributes: string, shapes: readonly string[]): string =>
    shapes.length === 0 ? '' : `<g ${attributes}>\n${shapes.join('\n')}\n</g>`;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIDE + 2 * MARGIN} ${SIDE + 2 * MARGIN + LEGEND}" font-family="sans-serif" font-size="13">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    rectangle(0, 0, width, height, 'fill="#f4f4f0" stroke="#666"'),
    group('stroke="#ccc" stroke-width="0.8"', dies),
    rectangle(home.x, home.y, logicalWidth, logicalHeight, 'fill="none" stroke="#000" stroke-dasharray="6 4"'),
    group('stroke="#38c" stroke-width="1"', moved),
    group('stroke="#888" stroke-width="1.5"', retired),
    group('fill="#c00"', pes),
    group('fill="#e80"', links),
    `<text x="${MARGIN}" y="${SIDE + 2 * MARGIN + 8}">${escapeXml(title)}</text>`,
    ...legend,
    '</svg>',
  ]
    .filter((part) => part !== '')
    .join('\n')}\n`;
}
