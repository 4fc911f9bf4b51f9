// What a person reads when a GGUF file is damaged, or is not a model that can be run. One golden file per kind.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

import { formatDiagnostic, IngotError } from '../src/core/index.ts';
import { openCheckpoint } from '../src/model/index.node.ts';
import { createReference, randomWeights } from '../src/model/index.ts';
import type { LlmShape } from '../src/spec/index.ts';
import { rawModel } from './gguf-model.ts';
import { f32, list, tensorTypes, text, u32, writeGguf, type RawGguf, type RawTensor, type TypedValue } from './gguf.ts';
import { expectGolden } from './golden.ts';

const root = mkdtempSync(join(tmpdir(), 'ingot-gguf-'));
afterAll(() => rmSync(root, { recursive: true }));
const path = join(root, 'model.gguf');

const shape: LlmShape = {
  arch: 'llama',
  hidden: 16,
  layers: 2,
  vocab: 264,
  maxContext: 64,
  normEps: 1e-5,
  layerNorms: 2,
  rope: { theta: 10_000 },
  tiedEmbeddings: false,
  attention: { kind: 'gqa', heads: 2, kvHeads: 1, headDim: 8, qkvBias: false, outBias: false, qkNorm: false },
  mlp: { kind: 'dense', ffn: 32 },
};
const weights = randomWeights(shape, 1);
const sound = rawModel(shape, weights);

const withMetadata = (changes: Readonly<Record<string, TypedValue | undefined>>): Uint8Array =>
  writeGguf(rawModel(shape, weights, { metadata: changes }));
const withTensors = (change: (tensor: RawTensor) => RawTensor | RawTensor[]): Uint8Array =>
  writeGguf({ ...sound, tensors: sound.tensors.flatMap(change) });
const withHeader = (changes: Partial<RawGguf>): Uint8Array => writeGguf({ ...sound, ...changes });
const GATE = 'blk.0.ffn_gate.weight';
const onGate = (change: Partial<RawTensor>): Uint8Array =>
  withTensors((tensor) => (tensor.name === GATE ? { ...tensor, ...change } : tensor));
const divisors = (values: readonly number[]): Uint8Array =>
  writeGguf({
    ...sound,
    tensors: [
      ...sound.tensors,
      {
        name: 'rope_freqs.weight',
        shape: [values.length],
        type: tensorTypes.F32,
        bytes: new Uint8Array(Float32Array.from(values).buffer),
      },
    ],
  });

interface Damage {
  readonly name: string;
  readonly done: string;
  readonly file: () => Uint8Array;
}

const damages: readonly Damage[] = [
  { name: 'not-gguf', done: 'the first four bytes were set to GGML', file: () => withMagic('GGML') },
  { name: 'version-1', done: 'the version was set to 1', file: () => withHeader({ version: 1 }) },
  {
    name: 'big-endian',
    done: 'the version was written in the other byte order',
    file: () => withHeader({ version: 0x03000000 }),
  },
  { name: 'truncated-header', done: 'the file was cut to 1,000 bytes', file: () => writeGguf(sound).slice(0, 1000) },
  {
    name: 'truncated-tensors',
    done: 'the last 3,000 bytes of the file were cut off',
    file: () => writeGguf(sound).slice(0, -3000),
  },
  {
    name: 'too-many-tensors',
    done: 'the number of tensors was set to 2^32',
    file: () => withHeader({ tensorCount: 2 ** 32 }),
  },
  {
    name: 'long-array',
    done: 'the length of an array was set to 2^40',
    file: () => withMetadata({ x: { ...list('u8', []), length: 2 ** 40 } as TypedValue }),
  },
  {
    name: 'duplicate-key',
    done: 'general.name stands twice',
    file: () => withHeader({ metadata: [...sound.metadata, ['general.name', text('again')]] }),
  },
  {
    name: 'duplicate-tensor',
    done: `${GATE} stands twice`,
    file: () => withTensors((tensor) => (tensor.name === GATE ? [tensor, tensor] : tensor)),
  },
  {
    name: 'alignment',
    done: 'general.alignment was set to 33',
    file: () => withMetadata({ 'general.alignment': u32(33) }),
  },
  { name: 'unaligned-offset', done: `${GATE} was moved to byte 12`, file: () => onGate({ offset: 12 }) },
  { name: 'overlapping-offsets', done: `${GATE} was moved to byte 64`, file: () => onGate({ offset: 64 }) },
  { name: 'unsupported-type', done: `${GATE} was given the type Q5_0`, file: () => onGate({ type: tensorTypes.Q5_0 }) },
  {
    name: 'block-rows',
    done: `${GATE} was given the type Q8_0; its rows have 16 elements`,
    file: () => onGate({ type: tensorTypes.Q8_0 }),
  },
  {
    name: 'missing-tensor',
    done: `${GATE} was left out`,
    file: () => withTensors((tensor) => (tensor.name === GATE ? [] : tensor)),
  },
  {
    name: 'unknown-tensor',
    done: `${GATE} was renamed to blk.0.ffn_gatee.weight`,
    file: () => onGate({ name: 'blk.0.ffn_gatee.weight' }),
  },
  { name: 'wrong-shape', done: `${GATE} was transposed`, file: () => onGate({ shape: [16, 32] }) },
  {
    name: 'unknown-architecture',
    done: 'general.architecture was set to lama',
    file: () => withMetadata({ 'general.architecture': text('lama') }),
  },
  {
    name: 'missing-keys',
    done: 'llama.block_count was removed, and llama.embedding_length set to a text',
    file: () => withMetadata({ 'llama.block_count': undefined, 'llama.embedding_length': text('16') }),
  },
  {
    name: 'unsupported-keys',
    done: 'llama.attention.clamp_kqv was set to 8, and llama.rope.scaling.type to ntk',
    file: () => withMetadata({ 'llama.attention.clamp_kqv': f32(8), 'llama.rope.scaling.type': text('ntk') }),
  },
  { name: 'rope-divisors', done: 'rope_freqs.weight was set to 1, 2, 3, 4', file: () => divisors([1, 2, 3, 4]) },
  { name: 'rope-divisors-shape', done: 'rope_freqs.weight was given 3 elements', file: () => divisors([1, 2, 8]) },
  {
    name: 'part-of-a-model',
    done: 'split.count was set to 4',
    file: () => withMetadata({ 'split.count': { type: 'u16', value: 4 } }),
  },
  { name: 'vocabulary-only', done: 'all tensors were removed', file: () => withHeader({ tensors: [] }) },
  {
    name: 'tokenizer-model',
    done: 'tokenizer.ggml.model was set to rwkv',
    file: () => withMetadata({ 'tokenizer.ggml.model': text('rwkv') }),
  },
  {
    name: 'tokenizer-pre',
    done: 'the tokenizer was made gpt2 with tokenizer.ggml.pre set to starcoder',
    file: () => withMetadata({ 'tokenizer.ggml.model': text('gpt2'), 'tokenizer.ggml.pre': text('starcoder') }),
  },
  {
    name: 'tokenizer-scores',
    done: 'tokenizer.ggml.scores was cut to 3 elements',
    file: () => withMetadata({ 'tokenizer.ggml.scores': list('f32', [0, 0, 0]) }),
  },
  {
    name: 'tokenizer-mismatch',
    done: 'the vocabulary got a token more than the model has rows',
    file: () => {
      const more = (key: string, item: unknown): TypedValue => {
        const value = sound.metadata.find(([name]) => name === `tokenizer.ggml.${key}`)![1] as TypedValue & {
          type: 'array';
        };
        return { ...value, value: [...value.value, item] };
      };
      return withMetadata({
        'tokenizer.ggml.tokens': more('tokens', 'one more'),
        'tokenizer.ggml.scores': more('scores', 0),
        'tokenizer.ggml.token_type': more('token_type', 1),
      });
    },
  },
];

function withMagic(magic: string): Uint8Array {
  const file = writeGguf(sound);
  file.set(new TextEncoder().encode(magic));
  return file;
}

describe('a damaged GGUF file', () => {
  it.each(damages)('$name', ({ name, done, file }) => {
    writeFileSync(path, file());
    let text = 'the file was opened';
    try {
      openCheckpoint(path).close();
    } catch (error) {
      if (!(error instanceof IngotError)) throw error;
      text = error.diagnostics.map(formatDiagnostic).join('\n');
    }
    expectGolden(`gguf-errors/${name}.txt`, `${done}\n${text.replaceAll(root, '<dir>')}`);
  });

  it('is not what the tests start from', () => {
    const bytes = writeGguf(sound);
    writeFileSync(path, bytes);
    const checkpoint = openCheckpoint(path);
    expect(checkpoint.dir).toBe(path);
    expect(checkpoint.shape).toEqual(shape);
    expect(checkpoint.provenance.files).toEqual([{ name: 'model.gguf', bytes: bytes.length }]);
    expect(checkpoint.provenance.sha256('model.gguf')).toMatch(/^[0-9a-f]{64}$/);
    const logits = createReference(checkpoint.graph, checkpoint.weights).start().forward([1, 2, 3]);
    expect(logits).toEqual(createReference(checkpoint.graph, weights).start().forward([1, 2, 3]));
    checkpoint.close();
    checkpoint.close();
    expect(readFileSync(path).length).toBe(bytes.length);
  });
});
