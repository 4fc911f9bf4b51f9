import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shown } from './body.ts';

describe('a value in a message', () => {
  it('is the JSON of the value, cut to 60 characters', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const json = JSON.stringify(value);
        const text = shown(value);
        if (json.length <= 60) expect(text).toBe(json);
        else expect(text).toBe(`${json.slice(0, 57)}...`);
      }),
      { numRuns: 1000 },
    );
  });

  it('is read only as far as it is shown', () => {
    let deep: unknown = 0;
    for (let i = 0; i < 200_000; i++) deep = i % 2 === 0 ? [deep] : { a: deep };
    expect(shown(deep)).toHaveLength(60);
    expect(shown(Array.from({ length: 1_000_000 }, () => 'x'.repeat(10)))).toHaveLength(60);
    expect(shown(undefined)).toBe('undefined');
  });
});
