// Prompt lookup: the longest recent run of tokens that occurred before is followed by what followed it then. It costs no
// model, and is right where answers repeat their prompt: code, summaries, retrieval.
// Saxena, "Prompt Lookup Decoding", 2023.

import { joules, seconds } from '../../core/index.ts';
import type { Drafter } from './drafter.ts';

/** Lengths of the run that is looked up: a shorter one is too often there by chance. */
const LONGEST = 4;
const SHORTEST = 2;
/** Tokens of history that are searched, newest first: bounds the time that a long context takes from everybody. */
const REACH = 4096;

/** @param ofPredictions draft only for requests that bring a prediction, and from that */
export function createNgramDrafter({ ofPredictions = false }: { readonly ofPredictions?: boolean } = {}): Drafter {
  return {
    ofPredictions,
    propose: (wants) =>
      Promise.resolve({
        drafts: wants.map(({ tokens, prediction, most }) => {
          for (let length = LONGEST; length >= SHORTEST; length--) {
            const run = tokens.subarray(Math.max(0, tokens.length - length));
            if (run.length < length) continue;
            const found =
              (prediction && follow(prediction, run, most)) ??
              (ofPredictions ? undefined : follow(tokens.subarray(Math.max(0, tokens.length - REACH)), run, most));
            if (found !== undefined) return found;
          }
          return [];
        }),
        time: seconds(0),
        energy: joules(0),
      }),
    forget: () => undefined,
    close: () => Promise.resolve(),
  };
}

/** What followed the newest earlier occurrence of `run`. */
function follow(text: Int32Array, run: Int32Array, most: number): readonly number[] | undefined {
  for (let from = text.length - run.length - 1; from >= 0; from--) {
    let i = 0;
    while (i < run.length && text[from + i] === run[i]) i++;
    if (i === run.length) return Array.from(text.subarray(from + i, from + i + most));
  }
  return undefined;
}
