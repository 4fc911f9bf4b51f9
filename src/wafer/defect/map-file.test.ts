import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IngotError } from '../../core/index.ts';
import { MAX_MAP_BYTES, parseDefectMap, toFile } from './map-file.ts';
import { defectsOf, wafersWith } from './testing/arbitrary.ts';

const sound = {
  format: 'ingot-defect-map',
  version: 1,
  width: 8,
  height: 6,
  deadPes: [[1, 2]],
  deadLinks: [[6, 5, 'east']],
};

function refusal(text: string): IngotError {
  try {
    parseDefectMap(text, 'map.json');
  } catch (error) {
    if (error instanceof IngotError) return error;
    throw error;
  }
  return expect.unreachable(`accepted ${text.slice(0, 100)}`);
}

describe('defect map files', () => {
  it('are read as they are written', () => {
    fc.assert(
      fc.property(wafersWith(defectsOf), ({ map }) => {
        expect(parseDefectMap(JSON.stringify(toFile(map)), 'map.json')).toEqual(map);
      }),
    );
    expect(parseDefectMap(JSON.stringify(sound), 'map.json').deadPes).toEqual([{ x: 1, y: 2 }]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['another format', { format: 'gds' }, 'map.json, format'],
    ['a newer version', { version: 2 }, 'map.json, version'],
    ['no width', { width: undefined }, 'map.json, width'],
    ['a height of 0', { height: 0 }, 'map.json, height'],
    ['a width that would take much memory', { width: 1e9 }, 'map.json, width'],
    ['a list that is none', { deadPes: { x: 1 } }, 'map.json, deadPes'],
    ['no list of links', { deadLinks: undefined }, 'map.json, deadLinks'],
    [
      'a PE past the edge',
      {
        deadPes: [
          [0, 0],
          [8, 0],
        ],
      },
      'map.json, deadPes[1]',
    ],
    ['half a PE', { deadPes: [[0.5, 0]] }, 'map.json, deadPes[0]'],
    ['a PE with three coordinates', { deadPes: [[0, 0, 0]] }, 'map.json, deadPes[0]'],
    ['a PE as text', { deadPes: ['0,0'] }, 'map.json, deadPes[0]'],
    ['a link that leads off the wafer', { deadLinks: [[7, 0, 'east']] }, 'map.json, deadLinks[0]'],
    ['a link that leads off the wafer to the south', { deadLinks: [[0, 5, 'south']] }, 'map.json, deadLinks[0]'],
    ['a side that is stated from the other PE', { deadLinks: [[1, 0, 'west']] }, 'map.json, deadLinks[0]'],
    ['an unknown key', { deadLink: [] }, 'map.json, "deadLink"'],
  ])('refuse %s', (_, change, where) => {
    const error = refusal(JSON.stringify({ ...sound, ...change }));
    expect(error.diagnostics.map((d) => [d.code, d.where])).toEqual([['DEFECT_MAP_INVALID', where]]);
  });

  it('tell several problems at once, but not thousands', () => {
    const error = refusal(
      JSON.stringify({ ...sound, format: 'x', deadPes: Array.from({ length: 500 }, () => [9, 9]) }),
    );
    expect(error.diagnostics).toHaveLength(9);
    expect(error.diagnostics.at(-1)?.message).toBe('493 more of this map are not listed');
  });

  it('are not echoed at length', () => {
    const long = 'x'.repeat(100_000);
    for (const change of [
      { format: long },
      { [long]: 1 },
      { deadPes: [[long, long]] },
      { deadPes: [Array.from(long)] },
    ])
      expect(refusal(JSON.stringify({ ...sound, ...change })).message.length).toBeLessThan(500);
    const shown = refusal(JSON.stringify({ ...sound, deadPes: [Array.from(long)] })).diagnostics[0].found;
    expect(shown).toBe('["x", "x", "x", "x", …]');
  });

  it('must be JSON objects of bounded size, every key once', () => {
    expect(refusal('{').code).toBe('DEFECT_MAP_INVALID');
    expect(refusal('[]').code).toBe('DEFECT_MAP_INVALID');
    expect(refusal('{"width": 1, "width": 2}').message).toContain('stands twice');
    expect(refusal(' '.repeat(MAX_MAP_BYTES + 1)).code).toBe('DEFECT_MAP_TOO_LARGE');
  });

  it('of any text are read or refused, never a crash', () => {
    const text = JSON.stringify(sound);
    const piece = fc.constantFrom('"', '{', '}', '[', ']', ',', ':', '-', '1', 'e9', 'null', '\u0000');
    fc.assert(
      fc.property(fc.nat(text.length), fc.nat(3), piece, (at, cut, insert) => {
        try {
          parseDefectMap(text.slice(0, at) + insert + text.slice(at + cut), 'map.json');
        } catch (error) {
          expect(error).toBeInstanceOf(IngotError);
        }
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(refusal(json).code).toBe('DEFECT_MAP_INVALID');
      }),
    );
  });
});
