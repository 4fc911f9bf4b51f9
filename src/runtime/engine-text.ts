// From tokens to text that may be shown. Text that might still become a stop string is held back, so that
// nothing is sent which would have to be taken back.

import type { TokenDecoder } from '../model/index.ts';

/**
 * Takes text that may be shown, with the tokens that it came from or that came to no text. It may be empty, with or without
 * tokens.
 */
export type ShowText<T> = (text: string, tokens: readonly T[]) => void;

export interface TextGate<T> {
  /** @returns whether a stop string was met; nothing more may follow */
  push(token: number, report: T): boolean;
  /** No token follows: what was held back is let through, unless it completes a stop string, of which it tells likewise. */
  flush(): boolean;
}

/**
 * @param decoder without one tokens have no text
 * @param stops strings that end the text and are not part of it; the first to be complete wins
 */
export function createTextGate<T>(
  decoder: TokenDecoder | undefined,
  stops: readonly string[],
  show: ShowText<T>,
): TextGate<T> {
  return stops.length === 0 ? openGate(decoder ?? mute, show) : stoppingGate(decoder ?? mute, stops, show);
}

const mute: TokenDecoder = { push: () => '', flush: () => '' };

/** Nothing is held back, so each token goes with what text it completes. */
const openGate = <T>(decoder: TokenDecoder, show: ShowText<T>): TextGate<T> => ({
  push(token, report) {
    show(decoder.push(token), [report]);
    return false;
  },
  flush() {
    show(decoder.flush(), []);
    return false;
  },
});

function stoppingGate<T>(decoder: TokenDecoder, stops: readonly string[], show: ShowText<T>): TextGate<T> {
  /** Decoded but not shown: a proper prefix of a stop string. */
  let held = '';
  /** Characters shown so far. */
  let shown = 0;
  /** Tokens not shown, with the place in the text where each begins and ends. */
  let pending: { readonly report: T; readonly from: number; readonly to: number }[] = [];

  const release = (length: number, isCut: boolean): void => {
    const text = held.slice(0, length);
    held = held.slice(length);
    shown += length;
    // A token that is partly shown goes with its shown part.
    const isShown = (token: (typeof pending)[number]): boolean => token.from < shown || (token.to <= shown && !isCut);
    const tokens = pending.filter(isShown).map((token) => token.report);
    pending = pending.filter((token) => !isShown(token));
    show(text, tokens);
  };

  /** Lets through what is before a stop string, or else so much. */
  const judge = (length: () => number): boolean => {
    // The stop that is complete first, the longest of those, so that the cut does not depend on token boundaries.
    let cut: { readonly from: number; readonly to: number } | undefined;
    for (const stop of stops) {
      const from = held.indexOf(stop);
      const to = from + stop.length;
      if (from < 0) continue;
      if (cut === undefined || to < cut.to || (to === cut.to && from < cut.from)) cut = { from, to };
    }
    release(cut === undefined ? length() : cut.from, cut !== undefined);
    return cut !== undefined;
  };

  return {
    push(token, report) {
      const piece = decoder.push(token);
      const from = shown + held.length;
      pending.push({ report, from, to: from + piece.length });
      held += piece;
      return judge(() => held.length - heldBack(held, stops));
    },
    flush() {
      held += decoder.flush();
      return judge(() => held.length);
    },
  };
}

/** Length of the longest end of `text` that is the beginning of a stop string. */
export function heldBack(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
