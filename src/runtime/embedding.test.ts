// Embeddings through the engine on the executor that ships: the bits of the interpreter's hidden states, pooled, whatever the
// company, the chunks, preemption and the prefix cache do.

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createVirtualClock, type IngotError } from '../core/index.ts';
import { randomWeights } from '../model/index.ts';
import { interpret, tinyMixtures, tinyProgram, tinyShape, type TinyShape } from '../wafer/index.ts';
import { createEngine, type EngineCounts, type EngineOptions } from './engine.ts';
import type { EngineRequest, FinishEvent } from './engine-request.ts';
import type { Executor } from './executor/executor.ts';
import { createNullExecutor } from './executor/null.ts';
import { createProgramExecutor } from './index.node.ts';
import { createPool, shapedEmbedding, type Pooling } from './pooling.ts';
import { createNgramDrafter } from './speculation/index.ts';

const texts = [1, 40, 17, 33, 40].map((length, i) =>
  // The first 20 tokens are those of all others, so that blocks are shared.
  Array.from({ length }, (_, j) => (j < 20 ? 3 * j : 7 * i + 3 * j) % 50),
);
const drawn = { sampling: { temperature: 0 }, seed: 0 };

const mesh = { width: 3, height: 2, groups: { x: 2, y: 1 } };
const shape = tinyShape();
const program = tinyProgram(shape, mesh, 'bf16');
const weights = randomWeights(shape, 1);

/** As the interpreter has it, all in one sequence. */
function expected(text: readonly number[], pooling: Pooling): Float32Array {
  const states = interpret(program, weights).start().hidden(text);
  if (pooling === 'last') return states[states.length - 1];
  return Float32Array.from(states[0], (_, j) => states.reduce((sum, state) => sum + state[j], 0) / states.length);
}

async function embedded(
  executor: Executor,
  requests: readonly EngineRequest[],
  options: Partial<EngineOptions> = {},
): Promise<{ readonly vectors: (Float32Array | undefined)[][]; readonly counts: EngineCounts }> {
  const engine = createEngine({ executor, clock: createVirtualClock(), ...options });
  const vectors = await Promise.all(
    requests.map(async (request) => {
      const ends: FinishEvent[] = [];
      for await (const event of engine.submit(request)) if (event.kind === 'finish') ends.push(event);
      return ends.toSorted((a, b) => a.choice - b.choice).map(({ embedding }) => embedding);
    }),
  );
  expect(engine.counts).toMatchObject({ waiting: 0, running: 0, blocksUsed: 0 });
  return { vectors, counts: engine.counts };
}

describe('hidden states of the program executor', () => {
  const shapes: TinyShape[] = [{}, { arch: 'gemma2', slidingWindow: 5 }, { arch: 'deepseek_v3' }, tinyMixtures[0]];
  it.each(shapes)('are those of the interpreter beside logits: %o', async (tiny) => {
    const its = tinyShape(tiny);
    const placed = tinyProgram(its, mesh, 'int8');
    const held = randomWeights(its, 2);
    const executor = await createProgramExecutor({ program: placed, weights: held, kvTokens: 192, maxStepTokens: 96 });
    const item = { sequence: 0, tokens: Int32Array.from(texts[1]), start: 0, blockTable: Int32Array.of(4, 2, 7) };
    const company = { ...item, sequence: 1, blockTable: Int32Array.of(0, 3, 6) };
    const [states, logits] = await executor.execute({
      items: [
        { ...item, wantLogits: texts[1].length, hidden: true },
        { ...company, wantLogits: 2 },
      ],
    });
    await executor.close();
    expect(states).toEqual(interpret(placed, held).start().hidden(texts[1]));
    expect(logits[1]).toEqual(interpret(placed, held).start().forward(texts[1]));
  });

  it('are nothing that an executor without a model has', async () => {
    const executor = createNullExecutor({ vocab: 8, maxContext: 16, blocks: 2 });
    const item = { sequence: 0, tokens: Int32Array.of(1), start: 0, blockTable: Int32Array.of(0), wantLogits: 1 };
    await expect(executor.execute({ items: [{ ...item, hidden: true }] })).rejects.toThrow('hidden states');
    const engine = createEngine({ executor, clock: createVirtualClock() });
    expect(() => engine.submit({ prompts: [[1]], embed: 'last', ...drawn })).toThrow(
      expect.objectContaining({ code: 'EMBEDDINGS_UNSUPPORTED' } satisfies Partial<IngotError>),
    );
  });
});

describe('embeddings of the engine', () => {
  it.each(['last', 'mean'] as const)(
    '%s: bit-equal alone, in company, in chunks, where room is scarce',
    async (embed) => {
      const bits = texts.map((text) => expected(text, embed));
      const chats = [3, 40].map((length, i): EngineRequest => {
        return { prompts: [texts[i + 2].slice(0, length)], maxTokens: 20, ...drawn };
      });
      for (const [kvTokens, chunkSize] of [
        [512, 24],
        [512, 5],
        [64, 24],
      ]) {
        const executor = await createProgramExecutor({ program, weights, kvTokens, maxStepTokens: 24 });
        const requests = [...chats, { prompts: texts, embed, ...drawn }, { prompts: [texts[1]], embed, ...drawn }];
        const options = { chunkSize, drafter: createNgramDrafter() };
        const { vectors, counts } = await embedded(executor, requests, options);
        expect(vectors.slice(2)).toEqual([bits, [bits[1]]]);
        // Every text counts once.
        const inTexts = texts.reduce((sum, { length }) => sum + length, 0);
        const inChats = chats.reduce((sum, { prompts }) => sum + prompts[0].length, 0);
        expect(counts.promptTokens).toBe(inTexts + texts[1].length + inChats);
        await executor.close();
      }
    },
  );

  it.each(['last', 'mean'] as const)('%s: bit-equal after preemption', async (embed) => {
    // An answer that grows takes the blocks of a text that is 36 of 40 tokens far.
    const executor = await createProgramExecutor({ program, weights, kvTokens: 80, maxStepTokens: 24 });
    const requests = [
      { prompts: [texts[4].slice(0, 15)], maxTokens: 40, ...drawn },
      { prompts: [texts[1]], embed, ...drawn },
    ];
    const { vectors, counts } = await embedded(executor, requests, { chunkSize: 2 });
    expect(counts.preemptions).toBeGreaterThan(0);
    expect(vectors[1]).toEqual([expected(texts[1], embed)]);
    await executor.close();
  });

  it('the last token goes by the prefix cache, a mean needs every token', async () => {
    const executor = await createProgramExecutor({ program, weights, kvTokens: 512, maxStepTokens: 64 });
    const engine = createEngine({ executor, clock: createVirtualClock() });
    for (const [embed, cached] of [
      ['mean', 0],
      ['last', 32],
      ['mean', 0],
    ] as const) {
      for await (const event of engine.submit({ prompts: [texts[1]], embed, ...drawn })) {
        expect(event).toMatchObject({ kind: 'finish', generated: 0, cached });
      }
    }
    expect(engine.counts).toMatchObject({ generatedTokens: 0, computedTokens: 40 + 8 + 40 });
    await executor.close();
  });
});

describe('pooling', () => {
  const states = fc.array(
    fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -100, max: 100 }), { minLength: 3, maxLength: 3 }),
    { minLength: 1, maxLength: 12 },
  );

  it('passes over what was computed before, and does not depend on chunks', () => {
    fc.assert(
      fc.property(states, fc.nat(), fc.constantFrom<Pooling>('last', 'mean'), (rows, at, kind) => {
        const all = rows.map((row) => Float32Array.from(row));
        const whole = createPool(kind);
        whole.add(0, all);
        const cut = createPool(kind);
        cut.add(0, all.slice(0, at % all.length));
        cut.add(0, all.slice(0, at % all.length));
        cut.add(at % all.length, all.slice(at % all.length));
        expect(cut.vector()).toEqual(whole.vector());
      }),
    );
  });

  it('refuses what is no number', () => {
    const pool = createPool('mean');
    pool.add(0, [Float32Array.of(1, NaN)]);
    expect(() => pool.vector()).toThrow('no numbers');
  });

  it('shortens, then scales', () => {
    const vector = Float32Array.of(3, 4, 12);
    expect(shapedEmbedding(vector, { normalize: false })).toEqual(vector);
    expect(shapedEmbedding(vector, { normalize: true, dimensions: 2 })).toEqual(Float32Array.of(3 / 5, 4 / 5));
    expect(shapedEmbedding(vector, { normalize: true })).toEqual(Float32Array.of(3 / 13, 4 / 13, 12 / 13));
    expect(shapedEmbedding(new Float32Array(2), { normalize: true })).toEqual(new Float32Array(2));
  });
});
