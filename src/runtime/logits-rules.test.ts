import { describe, expect, it } from 'vitest';
import { adjustable } from './adjustable-logits.ts';
import { createBias, createLeastLength, createPenalties, inOrder } from './logits-rules.ts';

const adjusted = (
  rule: ReturnType<typeof inOrder>,
  logits: readonly number[],
  generated: readonly number[],
): number[] => {
  for (const token of generated) rule.accept(token);
  const changed = adjustable(Float32Array.from(logits), logits.length);
  rule.adjust(changed, generated);
  return logits.map((_, token) => changed.get(token));
};

describe('rules on logits', () => {
  it('penalties: frequency for each time, presence once, of the answer only', () => {
    const penalties = createPenalties({ frequency: 0.5, presence: 0.25, repetition: 1 }, Int32Array.of(3));
    expect(adjusted(penalties, [1, 1, 1, 1], [0, 2, 2])).toEqual([1 - 0.5 - 0.25, 1, 1 - 2 * 0.5 - 0.25, 1]);
  });

  it('repetition makes tokens of the prompt and of the answer less likely on either side of zero', () => {
    const penalties = createPenalties({ frequency: 0, presence: 0, repetition: 2 }, Int32Array.of(3));
    expect(adjusted(penalties, [1, -1, 1, 1], [0, 1])).toEqual([0.5, -2, 1, 0.5]);
  });

  it('go in order, and an answer ends where one of them says so', () => {
    const rules = inOrder([createBias([[1, 5]]), createLeastLength(1, [1])]);
    expect(adjusted(rules, [0, 0], [])).toEqual([0, -Infinity]);
    expect(adjusted(rules, [0, 0], [0])).toEqual([0, 5]);
    const ending = { adjust: () => {}, accept: (token: number) => token === 1 };
    expect([0, 1].map((token) => inOrder([createBias([]), ending, createBias([])]).accept(token))).toEqual([
      false,
      true,
    ]);
  });
});
