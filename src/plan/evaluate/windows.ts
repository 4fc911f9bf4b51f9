// A text as windows of context that do not overlap: every token but the first of a window is foretold from those before it
// in the window.

import { fail, formatCount } from '../../core/index.ts';

/** Fewer foretold tokens say little: the perplexity of one text of them is off by a tenth and more. */
export const MIN_TOKENS = 64;

export interface WindowOptions {
  /** Most tokens of a window. */
  readonly length: number;
  /** Most tokens of the text that are looked at. */
  readonly most: number;
  /** Token that stands before each window, as before each text that the model was trained on. */
  readonly begin?: number;
}

/**
 * @returns windows of at least two tokens
 * @throws IngotError EVALUATE_TEXT_TOO_SHORT
 */
export function cutWindows(tokens: readonly number[], where: string, options: WindowOptions): Int32Array[] {
  const { length, begin } = options;
  const taken = tokens.slice(0, options.most);
  const front = begin === undefined ? [] : [begin];
  const step = length - front.length;
  const windows: Int32Array[] = [];
  for (let at = 0; at < taken.length; at += step) {
    const window = Int32Array.from([...front, ...taken.slice(at, at + step)]);
    if (window.length > 1) windows.push(window);
  }
  const foretold = windows.reduce((sum, window) => sum + window.length - 1, 0);
  if (foretold < MIN_TOKENS)
    fail({
      code: 'EVALUATE_TEXT_TOO_SHORT',
      message: 'the text is too short to say anything about a model',
      where,
      expected: `at least ${formatCount(MIN_TOKENS)} tokens to foretell`,
      found: formatCount(foretold),
      suggestion: 'take a longer text of the kind that the model is for, some thousand words',
    });
  return windows;
}
