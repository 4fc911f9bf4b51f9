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
      // Where the model, or another rule, allows no token of the grammar's, the grammar goes first.
      logits.keep(vocabulary.mask(grammar, state), state.accepting ? eos : []);
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
