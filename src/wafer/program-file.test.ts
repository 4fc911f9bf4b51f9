import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IngotError } from '../core/index.ts';
import { graphOf } from '../model/index.ts';
import { findLlm, findWafer, resolveWafer } from '../spec/index.ts';
import { parseProgram, programFile } from './program-file.ts';
import type { Program, Stage } from './program.ts';

const wafer = resolveWafer(findWafer('wse3'));
const graph = graphOf(findLlm('qwen3-0.6b').shape);
const half = graph.layers.length / 2;
const stage = (index: number): Stage => ({
  wafer: 0,
  ...(index === 1 ? { detours: { x: 3, y: 0 } } : {}),
  region: { x: 100 * index, y: 0, width: 100, height: 80 },
  groups: { x: 10, y: 9 },
  fromLayer: half * index,
  toLayer: half * (index + 1),
  hasEmbedding: index === 0,
  hasHead: index === 1,
  memory: {
    capacity: 49_152,
    system: 0,
    code: 152,
    weights: 9000,
    padding: 0,
    activations: 20_000,
    kv: 20_000,
    kvPerToken: 8,
    kvTokens: 3000,
  },
});
const program: Program = {
  format: 'ingot-program',
  version: 2,
  target: 'wse3',
  model: 'qwen3-0.6b',
  graph,
  numerics: { weights: 'f16', activations: 'fp16', kv: 'fp16' },
  prefillChunk: 16,
  stages: [stage(0), stage(1)],
};
const parse = (json: unknown): Program => parseProgram(json, graph, wafer, 'test');
const copy = (): Record<string, unknown> => structuredClone(programFile(program)) as unknown as Record<string, unknown>;

function problemsOf(json: unknown): readonly string[] {
  try {
    parse(json);
    return [];
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    return error.diagnostics.map(({ where, message }) => `${where}: ${message}`);
  }
}

describe('a program as JSON', () => {
  it('comes back as it was', () => expect(parse(JSON.parse(JSON.stringify(programFile(program))))).toEqual(program));

  it('says how each class of weights is held', () => {
    const numerics = { weights: 'int8', classes: { head: 'bf16', attention: 'fp8' }, activations: 'fp32', kv: 'fp16' };
    expect(parse({ ...copy(), numerics }).numerics).toEqual(numerics);
    expect(problemsOf({ ...copy(), numerics: { ...numerics, classes: { heads: 'bf16' } } })).toHaveLength(1);
    expect(problemsOf({ ...copy(), numerics: { ...numerics, classes: { head: 'int5' } } })).toHaveLength(1);
  });

  it('says what is left out of the weights', () => {
    const pruned = { ...copy(), pruning: { kind: 'channels', share: 0.5 } };
    const found = parse(pruned);
    expect(found.pruning).toEqual(pruned.pruning);
    expect(found.graph.shape.mlp).toEqual({ kind: 'dense', ffn: 1536 });
    expect(programFile(found)).toEqual(pruned);
    expect(problemsOf({ ...copy(), pruning: { kind: 'pattern', keep: 4, of: 2 } })).toHaveLength(1);
    expect(problemsOf({ ...copy(), pruning: { kind: 'pattern', keep: 1, of: 2, share: 0.5 } })).toHaveLength(1);
  });

  it('never crashes on anything else', () =>
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        expect(problemsOf(json).length).toBeGreaterThan(0);
      }),
    ));

  it('is refused wherever a value of a stage is replaced', () =>
    fc.assert(
      fc.property(
        fc.constantFrom('wafer', 'region', 'groups', 'fromLayer', 'toLayer', 'hasEmbedding', 'hasHead', 'memory'),
        fc.constantFrom<unknown>(undefined, null, -1, 0.5, 1e9, 'x', [], {}),
        (key, value) => {
          const json = copy();
          (json['stages'] as Record<string, unknown>[])[1][key] = value;
          expect(problemsOf(json).length).toBeGreaterThan(0);
        },
      ),
    ));

  it.each<[string, (stages: Stage[]) => unknown]>([
    ['regions of a wafer overlap', ([one, two]) => [one, { ...two, region: { ...two.region, x: 99 } }]],
    ['wafers must follow one another', ([one, two]) => [one, { ...two, wafer: 2 }]],
    ['does not add up', ([one, two]) => [one, { ...two, memory: { ...two.memory, kv: 19_999 } }]],
    ['an unknown key', ([one, two]) => [one, { ...two, color: 3 }]],
    ['out of range', ([one, two]) => [one, { ...two, region: { ...two.region, x: wafer.programWidth } }]],
    ['', ([one]) => [one]],
  ])('says "%s"', (message, change) => {
    const json = copy();
    json['stages'] = change(structuredClone(program.stages) as Stage[]);
    const problems = problemsOf(json);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.join('\n').replace('do not add up', 'does not add up')).toContain(message);
  });

  it('tells several problems at once', () => {
    const json = copy();
    json['prefillChunk'] = 0;
    json['numerics'] = { weights: 'f8', activations: 'fp16', kv: 'fp16' };
    expect(problemsOf(json)).toHaveLength(2);
  });
});
