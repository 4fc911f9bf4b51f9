import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDiagnostic, IngotError } from '../../core/index.ts';
import { wafers } from '../wafer/index.ts';
import { publishedRows } from './index.ts';
import { MAX_CONDITIONS, MAX_ROWS, parsePublishedRows } from './published-row.ts';

const row = (change: Record<string, unknown> = {}): Record<string, unknown> => ({
  id: 'X1',
  group: 'vector',
  quantity: 'cycles',
  conditions: { machine: 'wse2', n: 8 },
  value: 14,
  unit: 'cycles',
  kind: 'device',
  source: 'a paper, table 1',
  ...change,
});

const refusal = (json: unknown): IngotError => {
  try {
    parsePublishedRows(json);
  } catch (error) {
    if (error instanceof IngotError) return error;
    throw error;
  }
  throw new Error('accepted');
};

describe('the table', () => {
  it('has unique ids, and machines that Ingot knows', () => {
    expect(publishedRows.length).toBeGreaterThan(20);
    expect(new Set(publishedRows.map(({ id }) => id)).size).toBe(publishedRows.length);
    for (const { conditions } of publishedRows) expect(Object.keys(wafers)).toContain(conditions.machine);
  });

  it('derives decode cycles per layer from the printed tokens/s: clock / (tokens/s x layers)', () => {
    const decode = publishedRows.filter(({ group }) => group === 'decode');
    expect(decode.length).toBeGreaterThan(0);
    for (const { value, published, conditions } of decode) {
      const clock = Number(conditions.clockGHz) * 1e9;
      expect(Math.round(clock / (Number(published?.value) * Number(conditions.layers)))).toBe(value);
    }
  });

  it('is what the vector constants of WSE-2 were measured on: start-up + n, or + 2n on a bank conflict', () => {
    const { vectorStartup, fp32Lanes } = wafers.wse2;
    for (const { conditions, value } of publishedRows.filter(({ group }) => group === 'vector')) {
      const perElement = (conditions.bankConflict === true ? 2 : 1) / fp32Lanes.value;
      expect(vectorStartup.value + perElement * Number(conditions.n)).toBe(value);
    }
  });
});

describe('parsePublishedRows', () => {
  it('keeps rows as they are', () => {
    const rows = [row(), row({ id: 'X2', published: { value: 1, unit: 'us' }, conditions: { deep: [{ a: [null] }] } })];
    expect(parsePublishedRows(structuredClone(rows))).toEqual(rows);
    expect(parsePublishedRows([])).toEqual([]);
  });

  it('names the row and the key', () => {
    const [diagnostic] = refusal([row(), row({ id: 'X2', value: '14' })]).diagnostics;
    expect(formatDiagnostic(diagnostic)).toBe(
      [
        'error ROWS_INVALID: row 1 (X2), key "value" is not a number.',
        '  where: row 1 (X2), key "value"',
        '  expected: a finite number',
        '  found: "14"',
        '  suggestion: Compare the row with the table that ships with Ingot, src/spec/published/wafer.json.',
      ].join('\n'),
    );
  });

  it.each([
    ['no list', {}, 'the table'],
    ['null', null, 'the table'],
    ['too many rows', Array.from({ length: MAX_ROWS + 1 }), 'the table'],
    ['a row that is a list', [[]], 'row 0'],
    ['no id', [row({ id: undefined })], 'row 0, key "id"'],
    ['an empty unit', [row({ unit: ' ' })], 'row 0 (X1), key "unit"'],
    ['a text without end', [row({ source: 'x'.repeat(1e6) })], 'row 0 (X1), key "source"'],
    ['no number', [row({ value: NaN })], 'row 0 (X1), key "value"'],
    ['conditions that are a list', [row({ conditions: [] })], 'row 0 (X1), key "conditions"'],
    ['a condition that is no JSON', [row({ conditions: { a: [() => 0] } })], 'row 0 (X1), key "conditions.a[0]"'],
    [
      'too many conditions',
      [row({ conditions: { a: Array.from({ length: MAX_CONDITIONS }, () => 0) } })],
      'row 0 (X1), key "conditions"',
    ],
    ['a published text', [row({ published: '12 us' })], 'row 0 (X1), key "published"'],
    [
      'a published value of text',
      [row({ published: { value: '1', unit: 'us' } })],
      'row 0 (X1), key "published.value"',
    ],
    [
      'an unknown key of published',
      [row({ published: { value: 1, unit: 'us', at: 2 } })],
      'row 0 (X1), key "published", key "at"',
    ],
    ['an id twice', [row(), row()], 'row 1 (X1), key "id"'],
  ])('refuses %s', (_, json, where) => {
    const error = refusal(json);
    expect(error.code).toBe('ROWS_INVALID');
    expect(error.diagnostics.map((diagnostic) => diagnostic.where)).toEqual([where]);
  });

  it('refuses an unknown key and says which one was meant', () => {
    const [diagnostic] = refusal([row({ condition: {} })]).diagnostics;
    expect(diagnostic.where).toBe('row 0 (X1), key "condition"');
    expect(diagnostic.suggestion).toBe('Did you mean "conditions"?');
  });

  it('reports many problems at once, but not without end', () => {
    const { diagnostics } = refusal(Array.from({ length: 100 }, () => 1));
    expect(diagnostics).toHaveLength(21);
    expect(diagnostics[20].message).toBe('80 more problems in this table are not listed.');
  });

  it('survives nesting deeper than any stack', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(refusal([row({ conditions: { deep } })]).diagnostics[0].where).toBe('row 0 (X1), key "conditions"');
  });

  it('accepts or refuses any JSON, and never fails otherwise', () =>
    fc.assert(
      fc.property(
        fc.oneof(fc.jsonValue(), fc.array(fc.jsonValue().map((value) => row({ conditions: value })))),
        (json) => {
          try {
            parsePublishedRows(json);
          } catch (error) {
            expect(error).toBeInstanceOf(IngotError);
          }
        },
      ),
    ));
});
