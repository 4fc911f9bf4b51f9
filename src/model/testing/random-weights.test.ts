import { describe, expect, it } from 'vitest';
import { llms, type LlmShape } from '../../spec/index.ts';
import { widenInto } from '../format/float-formats.ts';
import { weightSpecs } from '../weights.ts';
import { randomWeights } from './random-weights.ts';

const shape: LlmShape = {
  ...llms['qwen3-0.6b'].shape,
  hidden: 32,
  layers: 1,
  vocab: 40,
  mlp: { kind: 'dense', ffn: 48 },
};

describe('random weights', () => {
  it('have every name and shape of the checkpoint', () => {
    const weights = randomWeights(shape, 1);
    for (const spec of weightSpecs(shape)) expect(weights.shape(spec.name)).toEqual(spec.shape);
    expect(weights.names).toHaveLength(weightSpecs(shape).length);
    expect(weights.has('lm_head.weight')).toBe(false);
    expect(() => weights.read('lm_head.weight')).toThrow(/CHECKPOINT_TENSOR_MISSING/);
  });
  it('depend on seed and name, not on the order of reading', () => {
    const [a, b] = ['model.embed_tokens.weight', 'model.layers.0.mlp.up_proj.weight'];
    const forwards = randomWeights(shape, 1);
    const backwards = randomWeights(shape, 1);
    const read = [forwards.read(a), forwards.read(b)];
    expect([backwards.read(b), backwards.read(a)].reverse()).toEqual(read);
    expect(randomWeights(shape, 2).read(a)).not.toEqual(read[0]);
  });
  it.each(['f32', 'bf16'] as const)('rows as stored widen to what read returns (%s)', (dtype) => {
    const weights = randomWeights(shape, 3, dtype);
    const name = 'model.layers.0.self_attn.o_proj.weight';
    const [, width] = weights.shape(name);
    const stored = new Uint8Array(2 * width * (dtype === 'f32' ? 4 : 2));
    weights.readRows(name, 5, 7, stored);
    const rows = new Float32Array(2 * width);
    widenInto(rows, 0, stored, dtype);
    expect(weights.dtype(name)).toBe(dtype);
    expect(rows).toEqual(weights.read(name).slice(5 * width, 7 * width));
  });
});
