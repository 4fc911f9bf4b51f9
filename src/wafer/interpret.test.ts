import { describe, expect, it } from 'vitest';
import { createReference, randomWeights } from '../model/index.ts';
import { interpret } from './interpret.ts';
import type { Numerics, Program } from './program.ts';
import { tinyDeepseek, tinyMixtures, tinyProgram, tinyShape, type TinyShape } from './testing/tiny-program.ts';

const mesh = { width: 7, height: 5, groups: { x: 3, y: 2 } };
const tokens = Array.from({ length: 20 }, (_, i) => (i * 17 + 3) % 50);

/** Largest difference of logits from the reference, over every token. */
function distance(program: Program, seed: number, dtype: 'f32' | 'bf16'): number {
  const weights = randomWeights(program.graph.shape, seed, dtype);
  const session = interpret(program, weights).start();
  const reference = createReference(program.graph, weights).start();
  let most = 0;
  for (const token of tokens) {
    const logits = session.forward([token]);
    for (const [i, expected] of reference.forward([token]).entries())
      most = Math.max(most, Math.abs(logits[i] - expected));
  }
  return most;
}

describe('interpret', () => {
  const shapes: TinyShape[] = [
    {},
    { arch: 'qwen2', tied: true },
    { arch: 'qwen3', headDim: 10 },
    { arch: 'mistral', slidingWindow: 5 },
    ...tinyMixtures,
    { arch: 'gemma2', tied: true, slidingWindow: 5 },
    { arch: 'phi3', slidingWindow: 5 },
    { arch: 'deepseek_v3' },
    { arch: 'deepseek_v3', queryRank: 7 },
    tinyDeepseek,
  ];
  // Logits spread by about 1, so fp32 sums of some 40 terms stay well within 1e-4.
  for (const tiny of shapes) {
    it(`is within 1e-4 of the reference: ${JSON.stringify(tiny)}`, () => {
      expect(distance(tinyProgram(tinyShape(tiny), mesh, 'f32'), 1, 'f32')).toBeLessThan(1e-4);
      expect(distance(tinyProgram(tinyShape(tiny), mesh, 'bf16'), 1, 'bf16')).toBeLessThan(1e-4);
    });
  }

  it('rounds weights to the type that the program holds', () => {
    const shape = tinyShape();
    const rounded = (weights: Numerics['weights']): number => distance(tinyProgram(shape, mesh, weights), 2, 'f32');
    // Eight and eleven significant bits of weights, against twenty-four.
    expect(rounded('bf16')).toBeGreaterThan(10 * rounded('f32'));
    expect(rounded('bf16')).toBeLessThan(0.1);
    expect(rounded('f16')).toBeLessThan(0.02);
    // int8 also rounds activations, to 127 steps a token.
    expect(rounded('int8')).toBeGreaterThan(rounded('f16'));
    expect(rounded('int8')).toBeLessThan(0.6);
  });

  it('adds in the order of mesh and groups', () => {
    const shape = tinyShape();
    const weights = randomWeights(shape, 3);
    const logits = (width: number, height: number, x: number, y: number): string =>
      interpret(tinyProgram(shape, { width, height, groups: { x, y } }, 'f32'), weights)
        .start()
        .forward(tokens)
        .join();
    const meshes = [
      logits(7, 5, 3, 2),
      logits(7, 5, 3, 3),
      logits(5, 7, 3, 2),
      logits(1, 1, 1, 1),
      logits(24, 24, 5, 5),
    ];
    expect(new Set(meshes).size).toBe(meshes.length);
    expect(logits(7, 5, 3, 2)).toBe(meshes[0]);
  });

  it('does not depend on how a prompt is cut', () => {
    const shape = tinyShape();
    const interpretation = interpret(tinyProgram(shape, mesh, 'f32'), randomWeights(shape, 4));
    const whole = interpretation.start().forward(tokens);
    const session = interpretation.start();
    session.forward(tokens.slice(0, 7));
    expect(session.forward(tokens.slice(7))).toEqual(whole);
    expect(session.length).toBe(tokens.length);
  });

  it('refuses what it cannot execute', () => {
    const shape = tinyShape();
    const weights = randomWeights(shape, 5);
    const program = tinyProgram(shape, mesh, 'f32');
    const code = (changed: Program): string => {
      try {
        interpret(changed, weights).start().forward([1]);
      } catch (error) {
        return (error as { code: string }).code;
      }
      return 'none';
    };
    expect(code(program)).toBe('none');
    expect(code({ ...program, numerics: { ...program.numerics, activations: 'fp16' } })).toBe(
      'PROGRAM_NUMERICS_UNSUPPORTED',
    );
    const [stage] = program.stages;
    const stages = (...all: Partial<Program['stages'][number]>[]): string =>
      code({ ...program, stages: all.map((change) => ({ ...stage, ...change })) });
    expect(stages({ groups: { x: 0, y: 2 } })).toBe('PROGRAM_STAGES_INVALID');
    expect(stages()).toBe('PROGRAM_STAGES_INVALID');
    expect(stages({ toLayer: 1 })).toBe('PROGRAM_STAGES_INVALID');
    expect(stages({ hasHead: false }, { fromLayer: 1, hasEmbedding: false })).toBe('PROGRAM_STAGES_INVALID');
    expect(stages({ toLayer: 1, hasHead: false }, { fromLayer: 1, hasEmbedding: false })).toBe('none');
    expect(code({ ...program, graph: { ...program.graph, unsupported: ['sinks'] } })).toBe('ARCH_UNSUPPORTED');
    expect(code(tinyProgram(tinyShape({ ffn: 133_145 }), mesh, 'int8'))).toBe('PROGRAM_NUMERICS_UNSUPPORTED');
    expect(code(tinyProgram(tinyShape({ ffn: 41 }), mesh, 'f32'))).toBe('WEIGHT_SHAPE');
    expect(code(tinyProgram(tinyShape({ layers: 3 }), mesh, 'f32'))).toBe('WEIGHT_MISSING');
  });
});
