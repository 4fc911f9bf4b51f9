// What a command sees of the terminal. Passed in, so that tests run commands without a process.

import { styleText } from 'node:util';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** Lines of text are wrapped to this many columns, however wide the terminal. */
export const LINE_WIDTH = 80;

/** Under npm one press arrives twice: from the terminal, and passed on by npm. */
const SAME_PRESS_MS = 500;

export interface Io {
  /** The result: standard output. */
  readonly out: (text: string) => void;
  /** Progress, notes and errors: standard error. */
  readonly err: (text: string) => void;
  /** Whether a person watches standard error, so that a line may be rewritten. */
  readonly errIsTerminal: boolean;
  /** Style a text for standard output; plain where it is no terminal, or NO_COLOR is set. */
  readonly paint: (style: Style, text: string) => string;
  /** The same for standard error. */
  readonly paintErr: (style: Style, text: string) => string;
  /**
   * Aborted at the first Ctrl-C (or SIGTERM). Until a command asks for it, Ctrl-C ends the process at once,
   * which is right for commands that hold nothing open.
   */
  readonly interrupt: () => AbortSignal;
}

/** The terminal of this process. */
export function processIo(): Io {
  let controller: AbortController | undefined;
  // A reader that has seen enough (`ingot models | head`) is no failure.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 3));
  }
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    errIsTerminal: process.stderr.isTTY,
    paint: (style, text) => styleText(style, text, { stream: process.stdout }),
    paintErr: (style, text) => styleText(style, text, { stream: process.stderr }),
    interrupt() {
      if (controller !== undefined) return controller.signal;
      const first = new AbortController();
      controller = first;
      let at = 0;
      for (const name of ['SIGINT', 'SIGTERM'] as const) {
        process.on(name, () => {
          if (!first.signal.aborted) at = performance.now();
          // Whoever presses twice does not want to wait.
          else if (performance.now() - at > SAME_PRESS_MS) process.exit(130);
          first.abort();
        });
      }
      return first.signal;
    },
  };
}
