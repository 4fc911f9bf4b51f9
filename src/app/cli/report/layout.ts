// Text in columns: wrapping, bars, shares.

import { IngotError, type Diagnostic } from '../../../core/index.ts';
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

export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

/** A first column of a fixed width. */
export const label = (name: string, text: string, width: number): string => `${name.padEnd(width)}${text}`;

export const plural = (count: number, one: string, many = `${one}s`): string => (count === 1 ? one : many);

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
