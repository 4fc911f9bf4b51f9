// The laws of the program executor: the bits of the interpreter, whatever the chunks, the batch and the threads.

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { kvWidth, prunedGraph, randomWeights, type Pruning, type WeightSource } from '../../model/index.ts';
import { interpret, tinyDeepseek, tinyMixtures, tinyProgram, tinyShape } from '../../wafer/index.ts';
import type { Numerics, Program, TinyShape, WeightFormat } from '../../wafer/index.ts';
import type { BatchItem, Executor } from './executor.ts';
import { createProgramExecutor, estimateExecutorMemory } from './program.node.ts';

const mesh = { width: 7, height: 5, groups: { x: 3, y: 2 } };
const tokensOf = (count: number, seed = 0): number[] =>
  Array.from({ length: count }, (_, i) => (i * 17 + 3 + 7 * seed) % 50);

/** Blocks of 16 tokens, scattered, so that a wrong table shows. */
const tableOf = (sequence: number): Int32Array => Int32Array.of(5 - sequence, 6 + sequence, 11 - sequence);

const item = (tokens: readonly number[], start: number, sequence = 0, wantLogits = 1): BatchItem => ({
  sequence,
  tokens: Int32Array.from(tokens),
  start,
  blockTable: tableOf(sequence),
  wantLogits,
});

async function withExecutor<T>(
  program: Program,
  weights: WeightSource,
  threads: 1 | 2,
  use: (executor: Executor<Float32Array>) => Promise<T>,
): Promise<T> {
  const executor = await createProgramExecutor({ program, weights, threads, kvTokens: 192, maxStepTokens: 96 });
  try {
    return await use(executor);
  } finally {
    await executor.close();
  }
}

/** Equal bits: -0 differs from 0. */
function expectSame(found: Float32Array | undefined, expected: Float32Array): void {
  expect(found?.length).toBe(expected.length);
  const bits = (x: Float32Array): Int32Array => new Int32Array(x.buffer, x.byteOffset, x.length);
  if (found !== undefined && !bits(found).every((x, i) => x === bits(expected)[i])) expect(found).toEqual(expected);
}

describe('program executor equals the interpreter', () => {
  const formats: readonly (WeightFormat | Partial<Numerics>)[] = [
    'f32',
    'bf16',
    'f16',
    'int8',
    'fp8',
    { weights: 'int4-32', kv: 'fp16' },
    {
      weights: 'fp8',
      classes: { embedding: 'int8', attention: 'int4-32', mlp: 'int8', expert: 'int4-64', head: 'f16' },
      kv: 'int8',
    },
    { weights: 'int8', classes: { embedding: 'int4-32', attention: 'f16', head: 'int4-32', mlp: 'bf16' } },
  ];
  const shapes: TinyShape[] = [
    { hidden: 25, heads: 5, kvHeads: 1, headDim: 10, ffn: 33 },
    { arch: 'qwen2', tied: true, hidden: 16, heads: 2, kvHeads: 2, headDim: 20, ffn: 64, vocab: 50 },
    { arch: 'qwen3', headDim: 34 },
    { arch: 'mistral', slidingWindow: 5 },
    ...tinyMixtures,
    { arch: 'gemma2', slidingWindow: 5 },
    { arch: 'phi3', slidingWindow: 5 },
    { arch: 'deepseek_v3' },
    { arch: 'deepseek_v3', queryRank: 7, heads: 3, headDim: 21 },
    tinyDeepseek,
    { arch: 'gemma2', tied: true, slidingWindow: 5, headDim: 10 },
  ];
  for (const tiny of shapes) {
    for (const type of formats) {
      it(`${JSON.stringify(tiny)} in ${JSON.stringify(type)}: token by token, and as one prompt`, async () => {
        const shape = tinyShape(tiny);
        const program = tinyProgram(shape, mesh, type);
        // A stored type that the program does not hold is rounded on the way in.
        const weights = randomWeights(shape, 1, type === 'bf16' ? 'bf16' : 'f32');
        const tokens = tokensOf(37);
        const session = interpret(program, weights).start();
        const expected = tokens.map((token) => session.forward([token]));
        await withExecutor(program, weights, type === 'f16' ? 2 : 1, async (executor) => {
          for (const [position, token] of tokens.entries()) {
            const [[logits]] = await executor.execute({ items: [item([token], position)] });
            expectSame(logits, expected[position]);
          }
          // The last logits, and those of the tokens before, as drafts are verified.
          const [last] = await executor.execute({ items: [item(tokens, 0, 1, 6)] });
          expect(last.length).toBe(6);
          for (const [i, logits] of last.entries()) expectSame(logits, expected[tokens.length - 6 + i]);
        });
      });
    }
  }

  // Several tokens widen a block of weights some 200 elements of k at a time.
  it.each(formats)('in %j, wider than what is widened at a time', async (type) => {
    const shape = tinyShape({ layers: 1, hidden: 300, heads: 2, kvHeads: 1, headDim: 8, ffn: 700 });
    const program = tinyProgram(shape, mesh, type);
    const weights = randomWeights(shape, 1, 'bf16');
    const expected = interpret(program, weights).start().forward(tokensOf(5));
    await withExecutor(program, weights, 1, async (executor) => {
      expectSame((await executor.execute({ items: [item(tokensOf(5), 0)] }))[0][0], expected);
    });
  });

  it.each<Pruning>([
    { kind: 'magnitude', share: 0.4 },
    { kind: 'pattern', keep: 2, of: 4 },
    { kind: 'channels', share: 0.3 },
  ])('without what is pruned: %j', async (pruning) => {
    const shape = tinyShape();
    const whole = tinyProgram(shape, mesh, 'int4-32');
    const program = { ...whole, pruning, graph: prunedGraph(whole.graph, pruning) };
    const weights = randomWeights(shape, 1, 'bf16');
    const expected = interpret(program, weights).start().forward(tokensOf(9));
    expect(expected).not.toEqual(interpret(whole, weights).start().forward(tokensOf(9)));
    await withExecutor(program, weights, 1, async (executor) => {
      expectSame((await executor.execute({ items: [item(tokensOf(9), 0)] }))[0][0], expected);
    });
  });

  it('on meshes of all proportions', async () => {
    const shape = tinyShape({ layers: 2, hidden: 20, heads: 2, kvHeads: 1, headDim: 8, ffn: 24, vocab: 17 });
    const weights = randomWeights(shape, 2);
    const sizes = fc.integer({ min: 1, max: 30 });
    const region = fc
      .record({ width: sizes, height: sizes, x: fc.integer({ min: 1, max: 9 }), y: sizes })
      .map(({ width, height, x, y }) => ({ width, height, groups: { x, y } }));
    // Layers on the regions, with the embedding and the head beside them or on regions of their own.
    const split = fc.constantFrom([2], [1, 1], [0, 2, 0], [0, 1, 1, 0]);
    const cases = split.chain((layers) => fc.tuple(...layers.map((n) => region.map((r) => ({ ...r, layers: n })))));
    await fc.assert(
      fc.asyncProperty(cases, async (stages) => {
        const program = tinyProgram(shape, stages, 'f32');
        const tokens = tokensOf(19).map((token) => token % 17);
        const expected = interpret(program, weights).start().forward(tokens);
        await withExecutor(program, weights, 1, async (executor) => {
          expectSame((await executor.execute({ items: [item(tokens, 0)] }))[0][0], expected);
        });
      }),
      { numRuns: 12 },
    );
  });
});

describe('program executor', () => {
  const shape = tinyShape();
  const program = tinyProgram(shape, mesh, 'bf16');
  const weights = randomWeights(shape, 3, 'bf16');

  const mixtureShape = tinyShape(tinyMixtures[2]);
  it.each([
    ['a dense model', program, weights],
    ['a mixture with sinks', tinyProgram(mixtureShape, mesh, 'bf16'), randomWeights(mixtureShape, 3, 'bf16')],
  ])('does not depend on chunks, on the rest of the batch, or on threads: %s', async (_, program, weights) => {
    const prompts = [tokensOf(40, 1), tokensOf(33, 2), tokensOf(21, 3)];
    const expected = prompts.map((prompt) => interpret(program, weights).start().forward(prompt));
    // Per sequence the ends of its chunks; step i runs chunk i of every sequence that has one.
    const cuts = fc.tuple(
      ...prompts.map((prompt) => fc.uniqueArray(fc.integer({ min: 1, max: prompt.length - 1 }), { maxLength: 4 })),
    );
    for (const threads of [1, 2] as const) {
      await withExecutor(program, weights, threads, async (executor) => {
        await fc.assert(
          fc.asyncProperty(cuts, fc.boolean(), async (ends, reversed) => {
            const bounds = ends.map((inner, i) => [0, ...inner.sort((a, b) => a - b), prompts[i].length]);
            const steps = Math.max(...bounds.map((b) => b.length - 1));
            for (let step = 0; step < steps; step++) {
              const items = prompts.flatMap((prompt, i) => {
                const [from, to] = bounds[i].slice(step, step + 2);
                return to === undefined
                  ? []
                  : [item(prompt.slice(from, to), from, i, Number(to === prompt.length || i === 1))];
              });
              if (reversed) items.reverse();
              const results = await executor.execute({ items });
              for (const [at, { sequence, start, tokens, wantLogits }] of items.entries()) {
                if (wantLogits === 0) expect(results[at]).toEqual([]);
                else if (start + tokens.length === prompts[sequence].length)
                  expectSame(results[at][0], expected[sequence]);
              }
            }
          }),
          { numRuns: 12 },
        );
      });
    }
  });

  it('gives back the same bits after other work in other blocks', async () => {
    await withExecutor(program, weights, 2, async (executor) => {
      const run = async (): Promise<Float32Array> => {
        await executor.execute({ items: [item(tokensOf(20), 0)] });
        const [[logits]] = await executor.execute({ items: [item([1], 20)] });
        return Float32Array.from(logits ?? []);
      };
      const first = await run();
      await executor.execute({ items: [item(tokensOf(48, 5), 0, 1, 0)] });
      const [[again]] = await executor.execute({ items: [item([1], 20)] });
      expectSame(again, first);
      expectSame(await run(), first);
    });
  });

  it('refuses a bad batch without touching the cache', async () => {
    await withExecutor(program, weights, 1, async (executor) => {
      await executor.execute({ items: [item(tokensOf(20), 0)] });
      const [[before]] = await executor.execute({ items: [item([9], 20)] });
      const kept = Float32Array.from(before ?? []);
      const bad = executor.execute({
        items: [item(tokensOf(20, 4), 0), { ...item([1], 0, 1), blockTable: Int32Array.of(99) }],
      });
      await expect(bad).rejects.toMatchObject({ code: 'EXECUTOR_BATCH_INVALID' });
      expectSame((await executor.execute({ items: [item([9], 20)] }))[0][0], kept);
    });
  });

  it('runs one step at a time, and none once closed', async () => {
    const executor = await createProgramExecutor({ program, weights, kvTokens: 192 });
    const first = executor.execute({ items: [item([1], 0)] });
    await expect(executor.execute({ items: [item([1], 0, 1)] })).rejects.toMatchObject({ code: 'EXECUTOR_BUSY' });
    const closing = executor.close();
    expect((await first)[0][0].length).toBe(shape.vocab);
    await closing;
    await expect(executor.execute({ items: [item([1], 0)] })).rejects.toMatchObject({ code: 'EXECUTOR_CLOSED' });
    await executor.close();
  });

  it('refuses options, programs and weights that it cannot use', async () => {
    const refusal = async (change: object): Promise<string> => {
      try {
        await (await createProgramExecutor({ program, weights, kvTokens: 64, ...change })).close();
      } catch (error) {
        return (error as { code: string }).code;
      }
      return 'none';
    };
    expect(await refusal({})).toBe('none');
    expect(await refusal({ threads: 3 })).toBe('EXECUTOR_OPTION_INVALID');
    expect(await refusal({ kvTokens: 0 })).toBe('EXECUTOR_OPTION_INVALID');
    expect(await refusal({ kvTokens: 2 ** 29 })).toBe('EXECUTOR_MEMORY');
    expect(await refusal({ maxStepTokens: 1.5 })).toBe('EXECUTOR_OPTION_INVALID');
    expect(await refusal({ program: { ...program, numerics: { ...program.numerics, activations: 'fp16' } } })).toBe(
      'PROGRAM_NUMERICS_UNSUPPORTED',
    );
    expect(await refusal({ program: { ...program, graph: { ...program.graph, unsupported: ['moe'] } } })).toBe(
      'ARCH_UNSUPPORTED',
    );
    expect(await refusal({ weights: { ...weights, has: (name: string) => name !== 'model.norm.weight' } })).toBe(
      'WEIGHT_MISSING',
    );
    expect(await refusal({ weights: { ...weights, shape: (name: string) => [1, ...weights.shape(name)] } })).toBe(
      'WEIGHT_SHAPE',
    );
    // 0x7f80 is infinity in bfloat16.
    const infinite = (name: string, from: number, to: number, target: Uint8Array): void => {
      weights.readRows(name, from, to, target);
      if (name.endsWith('down_proj.weight')) target.set([0x80, 0x7f], 0);
    };
    expect(await refusal({ weights: { ...weights, readRows: infinite } })).toBe('WEIGHT_NOT_FINITE');
  });

  it('reports progress up to the whole checkpoint, and its memory beforehand', async () => {
    const seen: [number, number][] = [];
    const onProgress = (done: number, total: number): void => void seen.push([done, total]);
    await (await createProgramExecutor({ program, weights, kvTokens: 64, onProgress })).close();
    const bytes = weights.names.reduce((sum, name) => sum + weights.shape(name).reduce((a, b) => a * b, 2), 0);
    expect(seen.at(-1)).toEqual([bytes, bytes]);
    const { kv } = estimateExecutorMemory({ program, weights, kvTokens: 64 });
    // Keys, and values padded from 6 to 8 elements, of 2 KV heads in 2 layers.
    expect(kv).toBe(64 * 2 * 2 * (6 + 8) * 4);
    const latent = tinyShape({ arch: 'deepseek_v3' });
    const cached = estimateExecutorMemory({
      program: tinyProgram(latent, mesh, 'bf16'),
      weights: randomWeights(latent, 1),
      kvTokens: 64,
    });
    // The latent and the rotated key, 9 + 4 elements, and nothing else.
    expect(cached.kv).toBe(64 * 2 * kvWidth(latent) * 4);
    const small = estimateExecutorMemory({ program, weights, kvTokens: 64, maxStepTokens: 1 });
    expect(small.total).toBe(small.weights + small.kv + small.work);
  });
});
