// Sampling defaults of a checkpoint.

import type { JsonObject } from './json.ts';
import { createProblems } from './problems.ts';

/** What the publisher suggests for sampling; absent where it says nothing. */
export interface GenerationDefaults {
  /** Any of these ends a text: of generation_config.json or else config.json, and of the tokenizer. */
  readonly eosIds: readonly number[];
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
}

/**
 * @param json generation_config.json, or the same keys of another format
 * @throws IngotError CHECKPOINT_GENERATION_INVALID, all of them at once
 */
export function readGeneration(
  json: JsonObject,
  where: string,
  vocab: number,
  from: { readonly eosIds: readonly number[]; readonly tokenizerEosIds: readonly number[] },
): GenerationDefaults {
  const problems = createProblems();
  /** A key may be absent or null; a value that is neither and does not hold is a problem. */
  const take = <T>(key: string, holds: (value: unknown) => value is T, expected: string): T | undefined => {
    const value = json[key] ?? undefined;
    if (value === undefined || holds(value)) return value;
    problems.add({
      code: 'CHECKPOINT_GENERATION_INVALID',
      message: 'a value is not of the kind that its key asks for',
      where: `${where}, key ${key}`,
      expected,
      found: JSON.stringify(value).slice(0, 80),
    });
    return undefined;
  };
  const isId = (value: unknown): value is number =>
    Number.isInteger(value) && Number(value) >= 0 && Number(value) < vocab;
  const isIds = (value: unknown): value is number | number[] =>
    isId(value) || (Array.isArray(value) && value.every(isId));
  const isNumber = (value: unknown): value is number => typeof value === 'number' && value >= 0;
  const isShare = (value: unknown): value is number => isNumber(value) && value > 0 && value <= 1;
  const isCount = (value: unknown): value is number => isNumber(value) && Number.isInteger(value);

  const eos = take('eos_token_id', isIds, `token ids below ${vocab}`);
  const temperature = take('temperature', isNumber, 'a number from 0 on');
  const topP = take('top_p', isShare, 'a number above 0, at most 1');
  const topK = take('top_k', isCount, 'a whole number from 0 on');
  problems.throwIfAny();
  return {
    eosIds: [...new Set([eos ?? from.eosIds, from.tokenizerEosIds].flat())],
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
  };
}
