// Holds an answer to a grammar: tokens that the grammar does not allow become impossible before each draw.

import { assert } from '../../core/index.ts';
import type { LogitsProcessor } from '../logits-processor.ts';
import type { Grammar } from './automaton.ts';
import type { GrammarVocabulary } from './vocabulary.ts';

/** @param eos tokens that end an answer; possible only where the grammar may end */
export function createGrammarProcessor(
  grammar: Grammar,
  vocabulary: GrammarVocabulary,
  eos: readonly number[],
): LogitsProcessor {
  let state = grammar.start;
  return {
    adjust(logits) {
      const mask = vocabulary.mask(grammar, state);
      const ends = state.accepting ? eos.map((token) => [token, logits[token]] as const) : [];
      let isPossible = ends.some(([, logit]) => logit > -Infinity);
      const given = isPossible ? undefined : logits.slice();
      for (let token = 0; token < logits.length; token++) {
        if (((mask[token >> 5] ?? 0) >>> (token & 31)) & 1) isPossible ||= logits[token] > -Infinity;
        else logits[token] = -Infinity;
      }
      for (const [token, logit] of ends) logits[token] = logit;
      if (isPossible || given === undefined) return;
      // The model, or another rule, allows none of them: the grammar goes first, and all of them are equal.
      for (let token = 0; token < logits.length; token++) {
        if (((mask[token >> 5] ?? 0) >>> (token & 31)) & 1) logits[token] = 0;
      }
      for (const [token] of ends) logits[token] = 0;
    },
    accept(token) {
      if (state.accepting && eos.includes(token)) return true;
      for (const byte of vocabulary.bytesOf(token)) {
        const next = grammar.step(state, byte);
        assert(next !== null, 'a drawn token follows the grammar');
        state = next;
      }
      return state.accepting && !state.continues;
    },
  };
}
