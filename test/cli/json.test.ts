// With --json, standard output is one JSON document, whatever happens.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { publishedRows } from '../../src/spec/index.ts';
import { writeTinyCheckpoint } from '../tiny-checkpoint.ts';
import { runIngot } from './run-cli.ts';

const root = mkdtempSync(join(tmpdir(), 'ingot-json-'));
const tiny = join(root, 'tiny');
beforeAll(() => writeTinyCheckpoint(tiny));
afterAll(() => rmSync(root, { recursive: true }));

async function documentOf<T>(...argv: readonly string[]): Promise<{ code: number; document: T }> {
  const { code, out } = await runIngot(...argv, '--json');
  return { code, document: JSON.parse(out) as T };
}

describe('--json', () => {
  it('of compile holds figures that fit together', async () => {
    interface Report {
      readonly placement: {
        readonly wafers: number;
        readonly pesUsed: number;
        readonly pesUsable: number;
        readonly stages: readonly {
          readonly region: { readonly width: number; readonly height: number };
          readonly fromLayer: number;
          readonly toLayer: number;
          readonly memory: Memory;
        }[];
        readonly histogram: readonly { readonly pes: number }[];
        readonly search: { readonly frontier: readonly { readonly isChosen: boolean }[] };
      };
      readonly model: { readonly layers: number };
      readonly decode: {
        readonly cycles: number;
        readonly breakdown: Readonly<Record<string, number>>;
        readonly secondsPerToken: number;
        readonly ioSeconds: number;
        readonly tokensPerSecond: number;
        readonly joulesPerToken: number;
      };
      readonly restsOn: {
        readonly clock: { readonly hertz: number };
        readonly systemPower: { readonly value: number };
      };
    }
    type Memory = Readonly<
      Record<'capacity' | 'system' | 'code' | 'weights' | 'padding' | 'activations' | 'kv' | 'free', number>
    >;

    const { code, document } = await documentOf<Report>('compile', 'llama-3.1-8b', '--clock', '0.85');
    const { placement, decode, restsOn, model } = document;
    expect(code).toBe(0);
    expect(placement.pesUsed).toBe(placement.stages.reduce((sum, { region }) => sum + region.width * region.height, 0));
    expect(placement.histogram.reduce((sum, { pes }) => sum + pes, 0)).toBe(placement.pesUsable);
    expect(placement.search.frontier.filter(({ isChosen }) => isChosen)).toHaveLength(1);
    expect(placement.stages[0].fromLayer).toBe(0);
    expect(placement.stages.at(-1)?.toLayer).toBe(model.layers);
    for (const { memory } of placement.stages) {
      const { capacity, ...parts } = memory;
      expect(Object.values(parts).reduce((sum, part) => sum + part, 0)).toBe(capacity);
      expect(memory.free).toBeGreaterThanOrEqual(0);
    }
    expect(Object.values(decode.breakdown).reduce((sum, part) => sum + part, 0)).toBeCloseTo(decode.cycles, 6);
    expect(restsOn.clock.hertz).toBe(0.85e9);
    expect(decode.secondsPerToken).toBeCloseTo(decode.cycles / 0.85e9 + decode.ioSeconds, 12);
    expect(decode.tokensPerSecond).toBeCloseTo(1 / decode.secondsPerToken, 6);
    const watts = restsOn.systemPower.value * placement.wafers;
    expect(decode.joulesPerToken).toBeCloseTo(decode.secondsPerToken * watts, 9);
  });

  it('of validate answers every row of a file, none of them chosen', async () => {
    const file = join(root, 'rows.json');
    const rows = publishedRows.filter(({ group }) => group === 'decode').map((row) => ({ ...row, id: `my ${row.id}` }));
    writeFileSync(file, JSON.stringify(rows));
    const { code, document } = await documentOf<{
      rows: { id: string; standing: string; predicted: number; published: number; error: number }[];
      groups: { group: string; rows: number; mean: number }[];
    }>('validate', '--rows', file);
    expect(code).toBe(0);
    expect(document.rows.map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
    for (const row of document.rows) {
      expect(row.standing).toBe('predicted');
      expect(row.error).toBeCloseTo(row.predicted / row.published - 1, 12);
    }
    const mean = document.rows.reduce((sum, { error }) => sum + Math.abs(error), 0) / rows.length;
    expect(document.groups).toMatchObject([{ group: 'decode', rows: rows.length }]);
    expect(document.groups[0].mean).toBeCloseTo(mean, 12);
  });

  it('of models lists what compile takes', async () => {
    const { document } = await documentOf<{ models: { id: string; executable: boolean }[] }>('models');
    const uses = new Map(document.models.map(({ id, executable }) => [id, executable]));
    expect(uses.get('llama-3.1-8b')).toBe(true);
    expect(uses.get('glm-4.6')).toBe(true);
  });

  it('of run has text, usage and both times', async () => {
    const { code, document } = await documentOf<{
      text: string;
      usage: { prompt_tokens: number; completion_tokens: number };
      time_info: { simulated_wafer: { total_time: number } };
    }>('run', '--model', tiny, '--prompt', 'Hi', '--max-tokens', '3');
    expect(code).toBe(0);
    expect(document.usage).toMatchObject({ prompt_tokens: 2 });
    expect(document.time_info.simulated_wafer.total_time).toBeGreaterThan(0);
    const plain = await runIngot('run', '--model', tiny, '--prompt', 'Hi', '--max-tokens', '3');
    expect(plain.out).toBe(`${document.text}\n`);
    expect(plain.err).toContain('simulated');
  });

  it('of up has the placement and the answer', async () => {
    const { code, document } = await documentOf<{
      url: string;
      placement: { standing: string };
      answer: { usage: { completion_tokens: number } };
    }>('up', '--model', tiny, '--once', '--port', '0', '--max-tokens', '2');
    expect(code).toBe(0);
    expect(document.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/);
    expect(document.placement.standing).toBe('simulated');
    expect(document.answer.usage.completion_tokens).toBe(2);
  });

  it('of doctor says whether the machine is fit', async () => {
    const { code, document } = await documentOf<{ fit: boolean; checks: { health: string }[] }>(
      'doctor',
      '--port',
      '1',
    );
    expect(code).toBe(document.fit ? 0 : 1);
    expect(document.fit).toBe(document.checks.every(({ health }) => health !== 'fail'));
  });

  it.each([
    ['bad input', 1, 'MODEL_UNKNOWN', ['compile', 'no-such-model']],
    ['a folder that is missing', 1, 'CHECKPOINT_FOLDER_MISSING', ['compile', './no-such-folder']],
    ['a command line that is not understood', 2, 'OPTION_UNKNOWN', ['compile', 'qwen3-0.6b', '--fast']],
    ['no such command', 2, 'COMMAND_UNKNOWN', ['smelt']],
  ])('tells of %s', async (_, expected, diagnostic, argv) => {
    const { code, document } = await documentOf<{ errors: { code: string }[] }>(...argv);
    expect(code).toBe(expected);
    expect(document.errors.map((error) => error.code)).toEqual([diagnostic]);
  });
});
