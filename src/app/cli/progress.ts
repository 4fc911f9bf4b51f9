// What is being done, on standard error: one line that is rewritten where a person watches, else nothing but the
// lines that say what began and took long.

import { formatSi } from '../../core/index.ts';
import type { Io } from './io.ts';
import { bar } from './report/layout.ts';

export interface Progress {
  /** Bytes done, and in all. */
  readonly update: (done: number, total: number) => void;
  /** Take the line away. */
  readonly end: () => void;
}

/** Shorter work shows nothing. */
const QUIET_MS = 300;
/** Between two looks of the line; and, where nobody watches, between two lines. */
const REDRAW_MS = 80;
const LINE_MS = 5000;

const BAR = 24;

export function createProgress(io: Io, what: string): Progress {
  const started = performance.now();
  let shown = started + QUIET_MS - REDRAW_MS;
  let isDrawn = false;
  return {
    update(done, total) {
      const now = performance.now();
      if (now - shown < (io.errIsTerminal ? REDRAW_MS : LINE_MS)) return;
      shown = now;
      const share = total === 0 ? 1 : done / total;
      const text = `${what}  ${formatSi(done, 'B')} of ${formatSi(total, 'B')}, ${Math.floor(share * 100)} %`;
      if (io.errIsTerminal) {
        io.err(`\r\u001b[K${bar(share, BAR).padEnd(BAR, '░')}  ${text}`);
        isDrawn = true;
      } else {
        io.err(`${text}\n`);
      }
    },
    end() {
      if (isDrawn) io.err('\r\u001b[K');
    },
  };
}
