import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IngotError } from '../core/index.ts';
import { findLlm, llms, type LlmFacts, type LlmShape } from '../spec/index.ts';
import { activeParameterCount, iterateWeights, kvWidth, layerWeights, parameterCount, weightSpecs } from './weights.ts';

const size = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);
const sum = (shape: LlmShape): number => {
  let total = 0;
  for (const weight of iterateWeights(shape)) total += size(weight.shape);
  return total;
};

/** What a published count counts besides, or leaves out of, the weights that decode a token. */
const onPublishedBasis = ({ id, shape }: LlmFacts): number => {
  const count = parameterCount(shape);
  if (id !== 'glm-4.6') return count;
  // The prediction layer of GLM-4.5 and 4.6: a layer like the last, a projection of two joined vectors and three norms.
  const last = [...layerWeights(shape, shape.layers - 1)].reduce((total, weight) => total + size(weight.shape), 0);
  const prediction = last + 2 * shape.hidden ** 2 + 3 * shape.hidden;
  return count + prediction - 2 * shape.vocab * shape.hidden;
};

describe.each(Object.entries(llms))('%s', (_, facts) => {
  const { shape, parameters } = facts;

  it('has the published parameter count, exactly or within its stated rounding', () => {
    const to = /rounded to the nearest ([\d,]+)/.exec(parameters.basis)?.[1].replaceAll(',', '');
    const count = onPublishedBasis(facts);
    if (to === undefined) expect(count).toBe(parameters.value);
    else expect(Math.abs(count - parameters.value)).toBeLessThanOrEqual(Number(to) / 2);
  });

  it('counts what it lists, under unique names, in every layer', () => {
    expect(sum(shape)).toBe(parameterCount(shape));
    const specs = weightSpecs(shape);
    expect(new Set(specs.map(({ name }) => name)).size).toBe(specs.length);
    expect(new Set(specs.map(({ layer }) => layer)).size).toBe(shape.layers + 1);
    const misplaced = specs.filter(({ layer, name }) =>
      layer === undefined ? name.includes('layers') : !name.startsWith(`model.layers.${layer}.`),
    );
    expect(misplaced).toEqual([]);
  });

  it('has no more active parameters than parameters', () => {
    if (shape.mlp.kind === 'dense') expect(activeParameterCount(shape)).toBe(parameterCount(shape));
    else expect(activeParameterCount(shape)).toBeLessThan(parameterCount(shape));
  });
});

describe('active parameters, in billions, against what the authors publish', () => {
  const inBillions = (id: string): number => activeParameterCount(findLlm(id).shape) / 1e9;
  const tableInBillions = (id: string): number => {
    const { vocab, hidden } = findLlm(id).shape;
    return (vocab * hidden) / 1e9;
  };
  it('mixtral-8x7b: 12.9 (arXiv 2401.04088: 13)', () => expect(inBillions('mixtral-8x7b')).toBeCloseTo(12.9, 1));
  it('qwen3-235b-a22b: 22', () => expect(Math.round(inBillions('qwen3-235b-a22b'))).toBe(22));
  it('gpt-oss-120b: 5.13 without the embedding (model card)', () =>
    expect(inBillions('gpt-oss-120b') - tableInBillions('gpt-oss-120b')).toBeCloseTo(5.13, 2));
  it('deepseek-v3: 37 without the embedding (arXiv 2412.19437)', () =>
    expect(Math.round(inBillions('deepseek-v3') - tableInBillions('deepseek-v3'))).toBe(37));
  it('kimi-k2: 32 without the embedding (arXiv 2507.20534)', () =>
    expect(Math.round(inBillions('kimi-k2') - tableInBillions('kimi-k2'))).toBe(32));
  it('glm-4.6: 32 without embedding and head (arXiv 2508.06471)', () =>
    expect(Math.round(inBillions('glm-4.6') - 2 * tableInBillions('glm-4.6'))).toBe(32));
});

describe('names and shapes', () => {
  /** [name, ...shape] of the weights outside experts 1 and up, of one layer. */
  const listed = (id: string, layer: number): string[] =>
    [...layerWeights(findLlm(id).shape, layer)]
      .filter(({ name }) => !/experts\.[1-9]/.test(name))
      .map(({ name, shape, role }) => `${name.replace(/^model\.layers\.\d+\./, '')} [${shape.join(', ')}] ${role}`);

  it('of a dense layer with biases (Qwen2)', () =>
    expect(listed('qwen2-72b', 0)).toEqual([
      'input_layernorm.weight [8192] norm',
      'self_attn.q_proj.weight [8192, 8192] attention',
      'self_attn.q_proj.bias [8192] bias',
      'self_attn.k_proj.weight [1024, 8192] attention',
      'self_attn.k_proj.bias [1024] bias',
      'self_attn.v_proj.weight [1024, 8192] attention',
      'self_attn.v_proj.bias [1024] bias',
      'self_attn.o_proj.weight [8192, 8192] attention',
      'post_attention_layernorm.weight [8192] norm',
      'mlp.gate_proj.weight [29568, 8192] mlp',
      'mlp.up_proj.weight [29568, 8192] mlp',
      'mlp.down_proj.weight [8192, 29568] mlp',
    ]));

  it('of a layer that norms heads (Qwen3) and one that norms outputs (Gemma 2)', () => {
    expect(listed('qwen3-0.6b', 3)).toContain('self_attn.q_norm.weight [128] norm');
    expect(listed('qwen3-0.6b', 3)).toContain('self_attn.q_proj.weight [2048, 1024] attention');
    expect(listed('gemma-2-9b', 3).filter((line) => line.endsWith('[3584] norm'))).toEqual([
      'input_layernorm.weight [3584] norm',
      'post_attention_layernorm.weight [3584] norm',
      'pre_feedforward_layernorm.weight [3584] norm',
      'post_feedforward_layernorm.weight [3584] norm',
    ]);
  });

  it('of a mixture (Mixtral)', () =>
    expect(listed('mixtral-8x7b', 0).slice(-4)).toEqual([
      'block_sparse_moe.gate.weight [8, 4096] router',
      'block_sparse_moe.experts.0.w1.weight [14336, 4096] expert',
      'block_sparse_moe.experts.0.w3.weight [14336, 4096] expert',
      'block_sparse_moe.experts.0.w2.weight [4096, 14336] expert',
    ]));

  it('of a mixture with biases and sinks (gpt-oss)', () =>
    expect(listed('gpt-oss-120b', 0).slice(7)).toEqual([
      'self_attn.sinks [64] bias',
      'self_attn.o_proj.weight [2880, 4096] attention',
      'self_attn.o_proj.bias [2880] bias',
      'post_attention_layernorm.weight [2880] norm',
      'mlp.router.weight [128, 2880] router',
      'mlp.router.bias [128] bias',
      'mlp.experts.0.gate_proj.weight [2880, 2880] expert',
      'mlp.experts.0.gate_proj.bias [2880] bias',
      'mlp.experts.0.up_proj.weight [2880, 2880] expert',
      'mlp.experts.0.up_proj.bias [2880] bias',
      'mlp.experts.0.down_proj.weight [2880, 2880] expert',
      'mlp.experts.0.down_proj.bias [2880] bias',
    ]));

  it('of latent attention with dense leading layers and a shared expert (DeepSeek-V3)', () => {
    expect(listed('deepseek-v3', 2).slice(-3)).toEqual([
      'mlp.gate_proj.weight [18432, 7168] mlp',
      'mlp.up_proj.weight [18432, 7168] mlp',
      'mlp.down_proj.weight [7168, 18432] mlp',
    ]);
    expect(listed('deepseek-v3', 3)).toEqual([
      'input_layernorm.weight [7168] norm',
      'self_attn.q_a_proj.weight [1536, 7168] attention',
      'self_attn.q_a_layernorm.weight [1536] norm',
      'self_attn.q_b_proj.weight [24576, 1536] attention',
      'self_attn.kv_a_proj_with_mqa.weight [576, 7168] attention',
      'self_attn.kv_a_layernorm.weight [512] norm',
      'self_attn.kv_b_proj.weight [32768, 512] attention',
      'self_attn.o_proj.weight [7168, 16384] attention',
      'post_attention_layernorm.weight [7168] norm',
      'mlp.gate.weight [256, 7168] router',
      'mlp.gate.e_score_correction_bias [256] bias',
      'mlp.experts.0.gate_proj.weight [2048, 7168] expert',
      'mlp.experts.0.up_proj.weight [2048, 7168] expert',
      'mlp.experts.0.down_proj.weight [7168, 2048] expert',
      'mlp.shared_experts.gate_proj.weight [2048, 7168] mlp',
      'mlp.shared_experts.up_proj.weight [2048, 7168] mlp',
      'mlp.shared_experts.down_proj.weight [7168, 2048] mlp',
    ]);
  });

  it('are refused for a mixture of an unknown architecture', () => {
    const shape = { ...findLlm('mixtral-8x7b').shape, arch: 'mixtrol' };
    const first = (): unknown => weightSpecs(shape);
    expect(first).toThrow(IngotError);
    expect(first).toThrow(/WEIGHT_NAMES_UNKNOWN/);
  });
});

describe('laws', () => {
  it('KV width: 2 x KV heads x head width, or latent plus rotary key', () => {
    expect(kvWidth(findLlm('llama-3.1-8b').shape)).toBe(2 * 8 * 128);
    expect(kvWidth(findLlm('llama-2-13b').shape)).toBe(2 * 5120);
    expect(kvWidth(findLlm('deepseek-v3').shape)).toBe(512 + 64);
  });

  it('a dense model has the closed-form count: 2vh + L(2h·d(q + kv) + 3hf + 2h) + h', () =>
    fc.assert(
      fc.property(
        fc.record({
          layers: fc.integer({ min: 1, max: 5 }),
          kvHeads: fc.integer({ min: 1, max: 4 }),
          sharing: fc.integer({ min: 1, max: 4 }),
          half: fc.integer({ min: 1, max: 16 }),
          hidden: fc.integer({ min: 1, max: 100 }),
          ffn: fc.integer({ min: 1, max: 100 }),
          vocab: fc.integer({ min: 1, max: 100 }),
          tied: fc.boolean(),
        }),
        ({ layers, kvHeads, sharing, half, hidden: h, ffn, vocab, tied }) => {
          const heads = kvHeads * sharing;
          const d = 2 * half;
          const { shape: llama } = findLlm('llama-2-13b');
          const shape: LlmShape = {
            ...llama,
            layers,
            hidden: h,
            vocab,
            tiedEmbeddings: tied,
            attention: {
              kind: 'gqa',
              heads,
              kvHeads,
              headDim: d,
              qkvBias: false,
              outBias: false,
              qkNorm: false,
            },
            mlp: { kind: 'dense', ffn },
          };
          const expected =
            (tied ? 1 : 2) * vocab * h + layers * (2 * h * d * (heads + kvHeads) + 3 * h * ffn + 2 * h) + h;
          expect(parameterCount(shape)).toBe(expected);
          expect(sum(shape)).toBe(expected);
        },
      ),
    ));
});
