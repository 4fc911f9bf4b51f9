import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { rawModel, type GgufModelChanges } from '../../../test/gguf-model.ts';
import { quantizeQ8_0 } from '../../../test/gguf-quantize.ts';
import { bool, f32, list, sourceOf, tensorTypes, text, u32, writeGguf, type RawGguf } from '../../../test/gguf.ts';
import { targetOf } from '../../../test/oracle/model-gguf.ts';
import { createRng, IngotError } from '../../core/index.ts';
import { mixtureOfExperts, type GqaShape, type LlmShape, type MoeShape } from '../../spec/index.ts';
import { graphOf } from '../arch/index.ts';
import type { WeightSource } from '../graph.ts';
import { createReference } from '../reference.ts';
import { randomWeights } from '../testing/random-weights.ts';
import { weightSpecs } from '../weights.ts';
import { f32ToBf16 } from './float-formats.ts';
import { readGgufModel, type ModelContent } from './gguf-model.ts';
import { ggufNames } from './gguf-names.ts';

const attention: GqaShape = {
  kind: 'gqa',
  heads: 4,
  kvHeads: 2,
  headDim: 8,
  qkvBias: false,
  outBias: false,
  qkNorm: false,
};
const tiny: LlmShape = {
  arch: 'llama',
  hidden: 32,
  layers: 2,
  vocab: 265,
  maxContext: 64,
  normEps: 1e-5,
  layerNorms: 2,
  rope: { theta: 10_000 },
  tiedEmbeddings: false,
  attention,
  mlp: { kind: 'dense', ffn: 64 },
};
const gemma2: LlmShape = {
  ...tiny,
  arch: 'gemma2',
  layerNorms: 4,
  tiedEmbeddings: true,
  logitSoftcap: 2,
  attention: { ...attention, slidingWindow: 5, fullAttentionEvery: 2, scoreWidth: 8, softcap: 3 },
};
const phi3: LlmShape = {
  ...tiny,
  arch: 'phi3',
  fusedProjections: true,
  rope: { theta: 10_000, scaling: { kind: 'longrope', divisors: [1, 1.5, 2], attentionFactor: 1.25 } },
  attention: { ...attention, ropeHeadDim: 6, slidingWindow: 20 },
};
const mixture = mixtureOfExperts(3, 2, 64);
const gptOss: LlmShape = {
  ...tiny,
  arch: 'gpt_oss',
  rope: {
    theta: 150_000,
    scaling: {
      kind: 'yarn',
      factor: 4,
      originalContext: 16,
      betaFast: 32,
      betaSlow: 1,
      attentionFactor: 0.1 * Math.log(4) + 1,
      truncate: true,
    },
  },
  attention: { ...attention, qkvBias: true, outBias: true, sinks: true, slidingWindow: 5, fullAttentionEvery: 2 },
  mlp: { ...mixture, routing: { ...mixture.routing, bias: 'logits' }, expertBias: true },
};
const latent = { kind: 'mla', heads: 2, kvRank: 10, nopeHeadDim: 6, ropeHeadDim: 4, valueHeadDim: 5 } as const;
const deepseek: LlmShape = {
  ...tiny,
  arch: 'deepseek_v3',
  rope: {
    theta: 10_000,
    scaling: {
      kind: 'yarn',
      factor: 4,
      originalContext: 16,
      betaFast: 32,
      betaSlow: 1,
      attentionFactor: 1,
      truncate: true,
    },
  },
  attention: { ...latent, queryRank: 7, scoreFactor: (0.1 * 0.5 * Math.log(4) + 1) ** 2 },
  mlp: {
    kind: 'moe',
    experts: 4,
    activeExperts: 2,
    expertFfn: 6,
    sharedExperts: 2,
    sharedFfn: 6,
    denseLayers: 1,
    denseFfn: 20,
    routing: { score: 'sigmoid', normalize: true, scale: 2.5, bias: 'choice', groups: { count: 2, active: 1 } },
    expertBias: false,
  },
};
const deepseekLite: LlmShape = {
  ...deepseek,
  rope: { theta: 10_000 },
  attention: latent,
  mlp: { ...(deepseek.mlp as MoeShape), routing: { score: 'softmax', normalize: false, scale: 1 } },
};
const llama3: LlmShape['rope'] = {
  theta: 500_000,
  scaling: { kind: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 8192 },
};

const open = (raw: RawGguf): ModelContent => readGgufModel(sourceOf(writeGguf(raw)), 'f');
const weightsOf = (shape: LlmShape): WeightSource => randomWeights(shape, 1);
const openShape = (shape: LlmShape, changes?: GgufModelChanges): ModelContent =>
  open(rawModel(shape, weightsOf(shape), changes));
const codes = (action: () => unknown): string[] => {
  try {
    action();
    return ['accepted'];
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    return error.diagnostics.map((d) => d.code);
  }
};
const codesWith = (metadata: GgufModelChanges['metadata'], shape = tiny): string[] =>
  codes(() => openShape(shape, { metadata }));

describe('a model as GGUF and its weights in Hugging Face order', () => {
  const shapes: readonly (readonly [string, LlmShape])[] = [
    ['llama', tiny],
    ['llama, tied, multi-head', { ...tiny, tiedEmbeddings: true, attention: { ...attention, kvHeads: 4 } }],
    ['llama with biases', { ...tiny, attention: { ...attention, qkvBias: true, outBias: true } }],
    ['llama with llama3 rope scaling', { ...tiny, rope: llama3, attention: { ...attention, headDim: 16 } }],
    ['qwen2', { ...tiny, arch: 'qwen2', attention: { ...attention, qkvBias: true }, rope: { theta: 1_000_000 } }],
    ['qwen3', { ...tiny, arch: 'qwen3', attention: { ...attention, headDim: 16, qkNorm: true } }],
    ['gemma2', gemma2],
    ['phi3', phi3],
    ['deepseek_v3', deepseek],
    ['deepseek_v2 with whole up-projections', deepseekLite],
    ['mixtral', { ...tiny, arch: 'mixtral', mlp: mixture }],
    ['qwen3_moe', { ...tiny, arch: 'qwen3_moe', attention: { ...attention, qkNorm: true }, mlp: mixture }],
    ['gpt_oss', gptOss],
    [
      'glm4_moe',
      {
        ...tiny,
        arch: 'glm4_moe',
        attention: { ...attention, headDim: 16, ropeHeadDim: 8, qkvBias: true, qkNorm: true },
        mlp: {
          ...mixture,
          sharedExperts: 1,
          sharedFfn: 64,
          denseLayers: 1,
          denseFfn: 96,
          routing: { score: 'sigmoid', normalize: true, scale: 2.5, bias: 'choice' },
        },
      },
    ],
  ];
  it.each(shapes)('%s: same shape, same tensors, same logits', (_, shape) => {
    const weights = weightsOf(shape);
    const model = openShape(shape);
    expect(model.shape).toEqual(shape);
    expect([...model.weights.names].sort()).toEqual(
      weightSpecs(shape)
        .map(({ name }) => name)
        .sort(),
    );
    for (const name of weights.names) {
      expect(model.weights.shape(name)).toEqual(weights.shape(name));
      expect(model.weights.dtype(name)).toBe('f32');
      expect(model.weights.read(name), name).toEqual(weights.read(name));
    }
    const prompt = [1, 7, 260, 33, 2, 264, 100];
    const logits = createReference(model.graph, model.weights).start().forward(prompt, { all: true });
    expect(logits).toEqual(createReference(graphOf(shape), weights).start().forward(prompt, { all: true }));
  });

  it('rotates each head by itself: rows are the wrong ones if they are not put back', () => {
    const weights = weightsOf(tiny);
    const raw = rawModel(tiny, weights);
    const stored = raw.tensors.find(({ name }) => name === 'blk.0.attn_q.weight')!;
    const name = 'model.layers.0.self_attn.q_proj.weight';
    expect(new Float32Array(stored.bytes.slice().buffer)).not.toEqual(weights.read(name));
    expect(open(raw).weights.read(name)).toEqual(weights.read(name));
  });

  it('gives any rows, of plain and rotary tensors, stored or widened', () => {
    const shape = { ...tiny, arch: 'mixtral', mlp: mixture };
    const stores: readonly NonNullable<GgufModelChanges['store']>[] = [
      () => undefined,
      (_, values) => ({ type: tensorTypes.BF16, bytes: new Uint8Array(f32ToBf16(values).buffer) }),
      // Blocks are of 32 elements: the bias of the keys has 16.
      (_, values) => (values.length % 32 === 0 ? { type: tensorTypes.Q8_0, bytes: quantizeQ8_0(values) } : undefined),
    ];
    for (const store of stores) {
      const { weights } = openShape(shape, { store });
      const names = weights.names.filter((name) => /q_proj|k_proj|v_proj|embed|input_layernorm|experts/.test(name));
      expect(names.length).toBeGreaterThan(8);
      fc.assert(
        fc.property(fc.constantFrom(...names), fc.nat(), fc.nat(), (name, a, b) => {
          const [rows] = weights.shape(name);
          const from = a % rows;
          const to = from + (b % (rows - from + 1));
          const all = weights.read(name);
          const bytes = weights.dtype(name) === 'f32' ? 4 : 2;
          const width = all.length / rows;
          const target = new Uint8Array((to - from) * width * bytes);
          weights.readRows(name, from, to, target);
          const wanted = all.slice(from * width, to * width);
          const stored = bytes === 4 ? wanted.buffer : f32ToBf16(wanted).buffer;
          expect(target).toEqual(new Uint8Array(stored));
        }),
        { numRuns: 150 },
      );
      expect(() => weights.readRows(names[0], 1, 0, new Uint8Array(0))).toThrow(/rows of/);
      expect(() => weights.readRows(names[0], 0, 1, new Uint8Array(1))).toThrow(/target/);
    }
  });

  it('reads a tensor larger than one piece', () => {
    // 2,000 rows of 700 half-precision elements are nearly three pieces, rotary ones in runs of half a head.
    const shape: LlmShape = {
      ...tiny,
      hidden: 704,
      layers: 1,
      attention: { ...attention, heads: 2, kvHeads: 1, headDim: 1000 },
    };
    const rng = createRng(3);
    const store: GgufModelChanges['store'] = (name, values) =>
      name.includes('norm')
        ? undefined
        : { type: tensorTypes.BF16, bytes: Uint8Array.from({ length: 2 * values.length }, () => rng.u32() & 0x3f) };
    const raw = rawModel(shape, weightsOf(shape), { store });
    const { weights } = open(raw);
    const stored = raw.tensors.find(({ name }) => name === 'blk.0.attn_q.weight')!.bytes;
    const target = new Uint8Array(stored.length);
    weights.readRows('model.layers.0.self_attn.q_proj.weight', 0, 2000, target);
    const row = (bytes: Uint8Array, at: number): Uint8Array => bytes.subarray(at * 1408, (at + 1) * 1408);
    for (const [ours, theirs] of [
      [0, 0],
      [500, 1],
      [1, 2],
      [999, 999],
      [1000, 1000],
      [1499, 1998],
      [1999, 1999],
    ])
      expect(row(target, ours)).toEqual(row(stored, theirs));
  });

  it('has names that are turned back and forth', () => {
    for (const [, shape] of shapes) {
      const { huggingFace, gguf } = ggufNames(targetOf(shape).architecture);
      for (const { name } of weightSpecs(shape))
        expect(huggingFace(gguf(name)), name).toBe(name.replace(/experts\.\d+/, 'experts.{expert}'));
    }
    const { huggingFace, gguf } = ggufNames('llama');
    for (const name of ['blk.01.attn_q.weight', 'blk.0.attn_x.weight', 'rope_freqs.weight', 'output', '']) {
      expect(huggingFace(name)).toBeUndefined();
    }
    expect(gguf('something.else')).toBe('something.else');
  });
});

describe('metadata', () => {
  it('says what the model is, with defaults as in llama.cpp', () => {
    const absent = Object.fromEntries(
      ['vocab_size', 'attention.key_length', 'attention.value_length', 'rope.dimension_count', 'rope.freq_base'].map(
        (key) => [`llama.${key}`, undefined],
      ),
    );
    const model = openShape(tiny, { metadata: absent });
    expect(model.shape).toEqual(tiny);
    expect(model.config).toMatchObject({ model_type: 'llama', hidden_size: 32, rms_norm_eps: 1e-5 });
    const mha = { ...tiny, attention: { ...attention, kvHeads: 4 } };
    expect(openShape(mha, { metadata: { 'llama.attention.head_count_kv': undefined } }).shape).toEqual(mha);
  });

  it('may have a window, which makes it mistral, and values by layer that are all alike', () => {
    const model = openShape(tiny, {
      metadata: {
        'llama.attention.sliding_window': u32(16),
        'llama.feed_forward_length': list('i32', [64, 64]),
        'llama.attention.head_count_kv': list('i32', [2, 2]),
      },
    });
    expect(model.shape).toEqual({ ...tiny, arch: 'mistral', attention: { ...attention, slidingWindow: 16 } });
    expect(codesWith({ 'llama.feed_forward_length': list('i32', [64, 32]) })).toEqual(['CONFIG_INVALID']);
  });

  it('gives ends of text and sampling', () => {
    const { generation, bosId } = openShape(tiny, {
      metadata: {
        'tokenizer.ggml.eot_token_id': u32(261),
        'general.sampling.temp': f32(0.5),
        'general.sampling.top_k': { type: 'i32', value: 20 },
      },
    });
    expect([bosId, generation]).toEqual([1, { eosIds: [2, 261], temperature: 0.5, topK: 20 }]);
    expect(codesWith({ 'general.sampling.temp': f32(-1) })).toEqual(['CHECKPOINT_GENERATION_INVALID']);
  });

  it('is refused where it asks for what is not computed', () => {
    expect(codesWith({})).toEqual(['accepted']);
    const refused: readonly (readonly [string, NonNullable<GgufModelChanges['metadata']>[string], string])[] = [
      ['general.architecture', text('lama'), 'ARCH_UNKNOWN'],
      ['general.architecture', undefined, 'CONFIG_INVALID'],
      ['general.type', text('adapter'), 'GGUF_UNSUPPORTED'],
      ['split.count', { type: 'u16', value: 3 }, 'GGUF_UNSUPPORTED'],
      ['llama.expert_count', u32(8), 'CONFIG_INVALID'],
      ['llama.expert_count', u32(0), 'accepted'],
      ['llama.block_count', u32(100_000), 'CONFIG_INVALID'],
      ['llama.block_count', text('two'), 'CONFIG_INVALID'],
      ['llama.block_count', { type: 'u64', value: 2n ** 63n }, 'CONFIG_INVALID'],
      ['llama.embedding_length', undefined, 'CONFIG_INVALID'],
      ['llama.attention.layer_norm_rms_epsilon', undefined, 'CONFIG_INVALID'],
      ['llama.attention.value_length', u32(16), 'CONFIG_UNSUPPORTED'],
      ['llama.rope.dimension_count', u32(4), 'CONFIG_UNSUPPORTED'],
      ['llama.rope.scaling.type', text('dynamic'), 'CONFIG_UNSUPPORTED'],
      // The lists that go with it are missing.
      ['llama.rope.scaling.type', text('longrope'), 'CONFIG_INVALID'],
      ['llama.rope.scaling.type', text('none'), 'accepted'],
      ['llama.rope.scaling.factor', f32(4), 'CONFIG_UNSUPPORTED'],
      ['llama.rope.scale_linear', f32(1), 'accepted'],
      ['llama.attention.clamp_kqv', f32(8), 'CONFIG_UNSUPPORTED'],
      ['llama.logit_scale', f32(2), 'CONFIG_UNSUPPORTED'],
      ['tokenizer.ggml.bos_token_id', u32(900), 'CONFIG_INVALID'],
      ['general.quantization_version', u32(1), 'accepted'],
      ['llama.vocab_size', u32(300), 'CHECKPOINT_TENSOR_SHAPE'],
    ];
    for (const [key, value, code] of refused) expect(codesWith({ [key]: value })[0], key).toBe(code);
    const q8: GgufModelChanges['store'] = (name, values) =>
      name === 'output.weight' ? { type: tensorTypes.Q8_0, bytes: quantizeQ8_0(values) } : undefined;
    const old = { 'general.quantization_version': u32(1) };
    expect(codes(() => openShape(tiny, { store: q8, metadata: old }))).toEqual(['GGUF_UNSUPPORTED']);
    expect(codes(() => openShape(tiny, { store: q8 }))).toEqual(['accepted']);
  });

  it('takes the short divisors of LongRoPE within the original context, and both as lists of the right length', () => {
    const within = openShape(phi3, { metadata: { 'phi3.rope.scaling.original_context_length': u32(64) } });
    expect(within.shape.rope.scaling).toEqual({ kind: 'longrope', divisors: [3, 4.5, 6], attentionFactor: 1.25 });
    expect(codesWith({ 'phi3.rope.dimension_count': u32(4) }, phi3)).toEqual(['CONFIG_INVALID', 'CONFIG_INVALID']);
    expect(
      openShape(phi3, { metadata: { 'phi3.attention.sliding_window': u32(0) } }).shape.attention,
    ).not.toHaveProperty('slidingWindow');
  });

  it('names problems as the file does', () => {
    try {
      openShape(tiny, { metadata: { 'llama.block_count': text('x'), 'llama.context_length': undefined } });
      expect.unreachable();
    } catch (error) {
      expect((error as IngotError).diagnostics.map(({ where }) => where).sort()).toEqual([
        'f: llama.block_count',
        'f: llama.context_length',
      ]);
    }
  });

  it('is compared with the tensors as that of a folder is', () => {
    const raw = rawModel(tiny, weightsOf(tiny));
    const change = (tensors: RawGguf['tensors']): string[] => codes(() => open({ ...raw, tensors }));
    expect(change(raw.tensors.filter(({ name }) => name !== 'blk.1.ffn_up.weight'))).toEqual([
      'CHECKPOINT_TENSOR_MISSING',
    ]);
    expect(
      change(raw.tensors.map((t) => (t.name === 'blk.1.ffn_up.weight' ? { ...t, name: 'blk.1.ffn_x.weight' } : t))),
    ).toEqual(['CHECKPOINT_TENSOR_MISSING', 'CHECKPOINT_TENSOR_UNKNOWN']);
    expect(
      change(raw.tensors.map((t) => (t.name === 'output.weight' ? { ...t, shape: t.shape.toReversed() } : t))),
    ).toEqual(['CHECKPOINT_TENSOR_SHAPE']);
    // A file without tensors is a vocabulary.
    expect(change([])).toEqual(['GGUF_UNSUPPORTED']);
  });
});

describe('any damage to a whole file', () => {
  it('ends in a diagnostic', () => {
    const shape = { ...tiny, layers: 1, rope: llama3, attention: { ...attention, headDim: 16 } };
    const sound = writeGguf(
      rawModel(shape, weightsOf(shape), { metadata: { 'tokenizer.ggml.add_bos_token': bool(true) } }),
    );
    const header =
      sound.length - weightSpecs(shape).reduce((sum, spec) => sum + 4 * spec.shape.reduce((a, b) => a * b, 1), 0);
    const change = fc.tuple(fc.nat(header), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)));
    let refused = 0;
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const bytes = sound.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        if (codes(() => readGgufModel(sourceOf(bytes), 'f'))[0] !== 'accepted') refused++;
      }),
      { numRuns: 500 },
    );
    expect(refused).toBeGreaterThan(100);
  });
});
