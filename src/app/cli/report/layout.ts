// Text in columns: wrapping, bars, shares.

import { IngotError, type Column, type Diagnostic } from '../../../core/index.ts';
import { LINE_WIDTH } from '../io.ts';

/** Words of a text in lines of at most `LINE_WIDTH` columns, each after `indent`; the first after `first`. */
export function wrap(text: string, indent: string, first = indent): string {
  const lines: string[] = [];
  let line = '';
  let start = first;
  for (const word of text.split(/\s+/)) {
    if (line !== '' && start.length + line.length + 1 + word.length > LINE_WIDTH) {
      lines.push(start + line);
      start = indent;
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(start + line);
  return lines.join('\n');
}

/** A bar of at most `width` columns; whatever is not nothing shows at least a thin line. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  if (share > 0 && eighths === 0) return '▏';
  return '█'.repeat(Math.floor(eighths / 8)) + ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8];
}

/** A share of something more or less; what rounds to nothing has no direction. */
export const signed = (share: number): string => `${share < -5e-4 ? '-' : '+'}${percent(Math.abs(share))}`;

export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

/** Lines of a report: a name in a first column of `width`, and beside it a text that is wrapped. */
export const lineIn =
  (width: number) =>
  (name: string, text: string): string =>
    wrap(text, ' '.repeat(width), name.padEnd(width));

/** A column of numbers. */
export const right = <Row>(heading: string, text: (row: Row) => string): Column<Row> => ({
  heading,
  text,
  align: 'right',
});

/** Rows of cells in columns as wide as need be, numbers to the right; where the last one is text, it is wrapped. */
export function cellLines(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  isText: (column: number) => boolean,
): string[] {
  const last = head.length - 1;
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i].length)));
  return [head, ...rows].map((row) => {
    const cells = row.map((cell, i) => (isText(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i])));
    const before = `  ${cells.slice(0, last).join('  ')}  `;
    return (isText(last) ? wrap(row[last], ' '.repeat(before.length), before) : before + cells[last]).trimEnd();
  });
}

export const plural = (count: number, one: string): string => (count === 1 ? one : `${one}s`);

/** An error and what caused it, down to the first cause. */
export function causes(error: unknown): string {
  const texts: string[] = [];
  for (let at = error; at !== undefined; at = at instanceof Error ? at.cause : undefined) {
    const text =
      at instanceof IngotError ? at.diagnostics.map(logLine).join('\n') : at instanceof Error ? at.message : String(at);
    if (!texts.includes(text)) texts.push(text);
  }
  return texts.join('\n  caused by: ');
}

const logLine = ({ code, message, where, found }: Diagnostic): string =>
  [`${code}: ${message}`, where && `where: ${where}`, found && `found: ${found}`].filter((part) => part).join(', ');
