import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { IngotError } from '../../core/index.ts';
import { firstJsonFault, MAX_JSON_DEPTH, parseJsonObject } from './json.ts';

const parses = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

describe('firstJsonFault', () => {
  it('accepts what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(undefined, 2), (value, indent) => {
        expect(firstJsonFault(JSON.stringify(value, null, indent))).toBeUndefined();
      }),
    );
  });

  it('agrees with JSON.parse on mutated text where no key is repeated', () => {
    const piece = fc.constantFrom('"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', '.', 'e', 't', ' ', '\u0001', 'é');
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.nat(), fc.nat({ max: 2 }), piece, (json, position, cut, insert) => {
        const at = position % (json.length + 1);
        const text = json.slice(0, at) + insert + json.slice(at + cut);
        const fault = firstJsonFault(text);
        // Behind a repeated key the text may be sound or not: the scan stops at its first fault.
        if (fault?.kind !== 'duplicate key') expect(fault === undefined).toBe(parses(text));
      }),
      { numRuns: 2000 },
    );
  });

  it('finds the repeated key that JSON.parse drops, also when it is spelled with an escape', () => {
    expect(firstJsonFault('{"a":1,"b":{"a":2}}')).toBeUndefined();
    expect(firstJsonFault('{"a":1,"\\u0061":2}')).toEqual({ kind: 'duplicate key', offset: 7, key: 'a' });
  });

  it('bounds the depth', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    expect(firstJsonFault(nested(MAX_JSON_DEPTH))).toBeUndefined();
    expect(firstJsonFault(nested(MAX_JSON_DEPTH + 1))?.kind).toBe('depth');
    expect(firstJsonFault('['.repeat(1_000_000))?.kind).toBe('depth');
  });

  it('reads long strings, numbers and runs of space', () => {
    for (const long of ['"' + 'x'.repeat(3e6) + '"', '1'.repeat(1e6), ' '.repeat(1e6) + '0']) {
      expect(firstJsonFault(`[${long}]`)).toBeUndefined();
    }
  });
});

describe('parseJsonObject', () => {
  it('says where the fault is', () => {
    for (const large of [false, true]) {
      try {
        parseJsonObject('{\n  "a": 1,\n  "b" 2\n}', 'config.json', { large });
        expect.unreachable();
      } catch (error) {
        expect((error as IngotError).diagnostics[0]).toMatchObject({
          code: 'CHECKPOINT_JSON_MALFORMED',
          where: 'config.json, line 3, column 7',
        });
      }
    }
  });

  it('refuses JSON that is not an object', () => {
    for (const text of ['[]', '1', 'null', '"x"']) expect(() => parseJsonObject(text, 'f')).toThrow(IngotError);
  });
});
