// What is being done, on standard error: one line that is rewritten where a person watches, else nothing but the
// lines that say what began and took long.

import { formatSi } from '../../core/index.ts';
import type { Io } from './io.ts';
import { bar } from './report/layout.ts';

export interface Progress {
  /** Done, and in all; bytes, unless the line is told to read otherwise. */
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

export interface ProgressLook {
  /** Shorter work shows nothing; default 300. */
  readonly quietMs?: number;
  /** The line behind the bar. */
  readonly text?: (done: number, total: number) => string;
}

export function createProgress(io: Io, what: string, look: ProgressLook = {}): Progress {
  const { quietMs = QUIET_MS, text: describe = bytesOf(what) } = look;
  const started = performance.now();
  let shown = started + quietMs - REDRAW_MS;
  let isDrawn = false;
  return {
    update(done, total) {
      const now = performance.now();
      if (now - shown < (io.errIsTerminal ? REDRAW_MS : LINE_MS)) return;
      shown = now;
      const share = total === 0 ? 1 : done / total;
      const text = describe(done, total);
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

const bytesOf =
  (what: string) =>
  (done: number, total: number): string =>
    `${what}  ${formatSi(done, 'B')} of ${formatSi(total, 'B')}, ${Math.floor(total === 0 ? 100 : (done / total) * 100)} %`;
