// `ingot yield` as a person uses it.
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { MAX_MAP_BYTES, type DefectMapFile } from '../../src/wafer/index.ts';
import { runIngot, transcriptsIn } from './run-cli.ts';

const root = mkdtempSync(join(tmpdir(), 'ingot-yield-'));
const path = (name: string): string => join(root, name);
const place = (name: string, map: Partial<DefectMapFile>): void =>
  writeFileSync(
    path(name),
    JSON.stringify({
      format: 'ingot-defect-map',
      version: 1,
      width: 770,
      height: 1260,
      deadPes: [],
      deadLinks: [],
      ...map,
    }),
  );
/** `count` rows with one dead PE more than the 8 spare columns. */
const brokenRows = (count: number): [number, number][] =>
  Array.from({ length: 9 * count }, (_, i) => [300 + (i % 9), 100 + Math.floor(i / 9)]);

beforeAll(() => {
  place('limit.json', { deadPes: brokenRows(88) });
  place('beyond.json', { deadPes: brokenRows(89) });
  place('other-wafer.json', { height: 1080 });
  place('invalid.json', { deadPes: [[770, 0]], deadLinks: [[769, 0, 'east']] });
  writeFileSync(path('text.json'), '{"format": "ingot-defect-map", "version": 1,');
  writeFileSync(path('huge.json'), '');
  truncateSync(path('huge.json'), MAX_MAP_BYTES + 1);
});
afterAll(() => rmSync(root, { recursive: true }));

const expectTranscript = transcriptsIn(root);

describe('text', () => {
  it.each([
    ['yield', ['yield']],
    ['yield-clustered', ['yield', '--density', '0.01', '--clustering', '2', '--wafers', '5', '--seed', '7']],
    ['yield-few-spares', ['yield', '--wafer', 'wse2', '--spare-columns', '1', '--spare-rows', '1']],
    ['error-yield-unrepairable', ['yield', '--map', path('beyond.json')]],
    ['error-yield-no-spares', ['yield', '--spare-columns', '0', '--spare-rows', '0', '--wafers', '2']],
    ['error-yield-other-wafer', ['yield', '--map', path('other-wafer.json')]],
    ['error-yield-map-invalid', ['yield', '--map', path('invalid.json')]],
    ['error-yield-map-not-json', ['yield', '--map', path('text.json')]],
    ['error-yield-map-missing', ['yield', '--map', path('none.json')]],
    ['error-yield-map-too-large', ['yield', '--map', path('huge.json')]],
    ['error-yield-map-and-seed', ['yield', '--map', path('limit.json'), '--seed', '2']],
    ['error-yield-picture-unwritable', ['yield', '--picture', path('none/wafer.svg')]],
  ])('%s', (name, argv) => expectTranscript(name, argv));
});

interface Document {
  readonly defectMap: DefectMapFile;
  readonly figures: {
    readonly extraHops: { readonly total: number; readonly worst: number };
    readonly retiredRows: number;
    readonly spareRowsUsed: number;
    readonly capacity: Readonly<Record<string, number>>;
  };
  readonly column: LineCost;
  readonly row: LineCost;
  readonly statistics?: { readonly wafers: number; readonly repaired: number };
}
interface LineCost {
  readonly extraHops: number;
  readonly cycles: number;
  readonly cyclesWithoutDefects: number;
}

async function documentOf(...argv: readonly string[]): Promise<Document> {
  const { code, out } = await runIngot('yield', ...argv, '--json');
  expect(code).toBe(0);
  return JSON.parse(out) as Document;
}

describe('the document', () => {
  it('holds a map that, read again, gives the same figures', async () => {
    const drawn = await documentOf('--seed', '3', '--density', '0.005');
    expect(drawn.defectMap.deadPes.length).toBeGreaterThan(100);
    writeFileSync(path('again.json'), JSON.stringify(drawn.defectMap));
    const read = await documentOf('--map', path('again.json'));
    expect(read.figures).toEqual(drawn.figures);
    expect(read.column).toEqual(drawn.column);
    expect(read.defectMap).toEqual(drawn.defectMap);
  });

  it('is of a whole wafer without cost at density 0', async () => {
    const { figures, column, row, defectMap } = await documentOf('--density', '0');
    expect(defectMap.deadPes).toEqual([]);
    expect(figures.extraHops).toEqual({ total: 0, mean: 0, worst: 0 });
    for (const line of [column, row]) expect(line.cycles).toBe(line.cyclesWithoutDefects);
  });

  it('accepts exactly as many broken rows as there are spare rows', async () => {
    const { figures, column } = await documentOf('--map', path('limit.json'));
    expect(figures.retiredRows).toBe(88);
    expect(figures.spareRowsUsed).toBe(88);
    // Every column crosses them once on the way to the root of the reduce and once on the way back.
    expect(column.extraHops).toBe(88);
    expect(column.cycles - column.cyclesWithoutDefects).toBeGreaterThanOrEqual(2 * 88);
    expect((await runIngot('yield', '--map', path('beyond.json'))).code).toBe(1);
  });

  it('counts the wafers that cannot be repaired where spares are few', async () => {
    const { statistics } = await documentOf('--spare-columns', '1', '--spare-rows', '0', '--wafers', '20');
    expect(statistics?.wafers).toBe(20);
    // Closed form: about half of such wafers (rows with two dead PEs are Poisson with mean 0.7).
    expect(statistics?.repaired).toBeGreaterThan(2);
    expect(statistics?.repaired).toBeLessThan(18);
  });

  it('of errors is JSON too', async () => {
    const { code, out } = await runIngot('yield', '--map', path('invalid.json'), '--json');
    expect(code).toBe(1);
    const { errors } = JSON.parse(out) as { errors: { code: string }[] };
    expect(errors.map((error) => error.code)).toEqual(['DEFECT_MAP_INVALID', 'DEFECT_MAP_INVALID']);
  });
});

describe('--picture', () => {
  it('shows every defect once', async () => {
    const file = path('wafer.svg');
    const { defectMap } = await documentOf('--seed', '4', '--picture', file);
    const svg = readFileSync(file, 'utf8');
    expect(svg.match(/<circle/g)?.length).toBe(defectMap.deadPes.length + defectMap.deadLinks.length);
    expect(svg).toContain('(simulated)');
    // Every element that is opened is closed.
    expect(svg.match(/<g /g)?.length).toBe(svg.match(/<\/g>/g)?.length);
  });
});
