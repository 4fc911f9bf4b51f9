import { escapeXml } from '../../core/index.ts';
import type { ValidationLine } from './validate.ts';

const rowHeight = 18;
const [left, plotWidth, right, top] = [250, 430, 110, 64];
const [low, high] = [0.5, 4];

/** Place of a ratio on a logarithmic axis; ratios beyond the ends are drawn at the end. */
const place = (ratio: number): number =>
  left + (plotWidth * Math.log(Math.min(high, Math.max(low, ratio)) / low)) / Math.log(high / low);

/**
 * An SVG with one dot per answered row at predicted / published, on a logarithmic axis: filled where no constant
 * was chosen from the row, hollow where one was.
 */
export function validationPicture(lines: readonly ValidationLine[]): string {
  const answered = lines.filter((line) => line.predicted !== undefined);
  const height = top + answered.length * rowHeight + 30;
  const width = left + plotWidth + right;
  const bottom = top + answered.length * rowHeight;
  const text = (x: number, y: number, content: string, more = ''): string =>
    `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escapeXml(content)}</text>`;
  const parts = [
    text(16, 24, 'Predicted over published, row by row', 'font-size="15" font-weight="600"'),
    text(
      16,
      42,
      'simulated by the closed form; filled: predicted, hollow: a constant was chosen from the row',
      'fill="#666"',
    ),
    `<rect x="${place(0.9).toFixed(1)}" y="${top}" width="${(place(1.1) - place(0.9)).toFixed(1)}" height="${bottom - top}" fill="#e8f0e6"/>`,
  ];
  for (const ratio of [0.5, 0.75, 1, 1.5, 2, 3, 4]) {
    const x = place(ratio);
    const stroke = ratio === 1 ? '#777' : '#ddd';
    parts.push(`<line x1="${x.toFixed(1)}" y1="${top}" x2="${x.toFixed(1)}" y2="${bottom}" stroke="${stroke}"/>`);
    parts.push(text(x, bottom + 16, `${ratio}×`, 'text-anchor="middle" fill="#666"'));
  }
  answered.forEach((line, i) => {
    const y = top + (i + 0.5) * rowHeight;
    const ratio = (line.predicted ?? NaN) / line.published;
    const fill = line.standing === 'chosen' ? '#fff' : '#2b6cb0';
    const percent = `${ratio >= 1 ? '+' : '−'}${(Math.abs(ratio - 1) * 100).toFixed(1)} %`;
    parts.push(text(16, y + 4, line.id, 'font-weight="600"'));
    parts.push(
      text(58, y + 4, line.quantity.length > 30 ? `${line.quantity.slice(0, 29)}…` : line.quantity, 'fill="#444"'),
    );
    parts.push(
      `<circle cx="${place(ratio).toFixed(1)}" cy="${y.toFixed(1)}" r="4.5" fill="${fill}" stroke="#2b6cb0" stroke-width="1.5"/>`,
    );
    parts.push(text(width - 16, y + 4, percent, 'text-anchor="end"'));
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="11.5">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}
