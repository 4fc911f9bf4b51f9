// Decoders in ONNX files that we read, against ONNX Runtime on the same files: logits and greedy tokens must agree, and a
// model that differs in one feature must not.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

import { argmax, createReference, graphOf, randomWeights } from '../../src/model/index.ts';
import { openCheckpoint, type Checkpoint } from '../../src/model/index.node.ts';
import type { GqaShape, LlmShape } from '../../src/spec/index.ts';
import { modelOnnx, type OnnxStyle } from '../onnx-model.ts';
import { configOf } from '../onnx-checkpoint.ts';
import { tinyTokenizer } from '../tiny-checkpoint.ts';
import { onnxRuntimeAbsent, runOnnxRuntime } from './onnx-runtime.ts';
import { attention, llama3, tiny } from './tiny-shapes.ts';

/** Largest difference of any logit; both compute in float32. */
const tolerance = 1e-3;
/** Least difference that a missing feature makes. */
const missing = 0.05;
const steps = 16;

const mistral: LlmShape = { ...tiny, arch: 'mistral', attention: { ...attention, slidingWindow: 16 } };
const qwen2: LlmShape = { ...tiny, arch: 'qwen2', attention: { ...attention, qkvBias: true } };
const qwen3: LlmShape = { ...tiny, arch: 'qwen3', attention: { ...attention, headDim: 32, qkNorm: true } };

interface Case {
  readonly name: string;
  readonly shape: LlmShape;
  readonly style: OnnxStyle;
  readonly without: { readonly feature: string; readonly shape: LlmShape };
}

const cases: readonly Case[] = [
  {
    name: 'llama in ops of ONNX: llama3 scaling, a head tied by a transposition, weights beside the file',
    shape: { ...tiny, tiedEmbeddings: true, rope: llama3 },
    style: { ops: 'onnx', tied: true, external: 'model.onnx_data' },
    without: { feature: 'rope scaling', shape: { ...tiny, tiedEmbeddings: true } },
  },
  {
    name: 'llama in ops of ONNX: Gemm, biases on all projections of attention, as many KV heads as heads',
    shape: { ...tiny, attention: { ...attention, kvHeads: 4, qkvBias: true, outBias: true } },
    style: { ops: 'onnx', matrices: 'gemm' },
    without: { feature: 'biases', shape: { ...tiny, attention: { ...attention, kvHeads: 4 } } },
  },
  {
    name: 'mistral in ops of ONNX: a window of 16, float16 matrices',
    shape: mistral,
    style: { ops: 'onnx', matrices: 'f16' },
    without: {
      feature: 'the exact window (15)',
      shape: { ...mistral, attention: { ...attention, slidingWindow: 15 } },
    },
  },
  {
    name: 'qwen3 in ops of ONNX: norms of query and key, fused projections cut apart, bfloat16 matrices',
    shape: qwen3,
    style: { ops: 'onnx', fused: true, matrices: 'bf16' },
    without: {
      feature: 'norms of query and key',
      shape: { ...qwen3, arch: 'llama', attention: { ...attention, headDim: 32 } },
    },
  },
  {
    name: 'llama in ops of ONNX Runtime: packed query, key and value, blocks of 4 bits with zero points',
    shape: { ...tiny, rope: llama3 },
    style: { ops: 'onnxruntime', fused: true, matrices: { bits: 4, block: 32, zeroPoints: true } },
    without: { feature: 'rope scaling', shape: tiny },
  },
  {
    name: 'mistral in ops of ONNX Runtime: local_window_size, blocks of 4 bits',
    shape: mistral,
    style: { ops: 'onnxruntime', matrices: { bits: 4, block: 16, zeroPoints: false } },
    without: {
      feature: 'the exact window (15)',
      shape: { ...mistral, attention: { ...attention, slidingWindow: 15 } },
    },
  },
  {
    name: 'qwen2 in ops of ONNX Runtime: biases of query, key and value, blocks of 8 bits with zero points',
    shape: qwen2,
    style: { ops: 'onnxruntime', matrices: { bits: 8, block: 32, zeroPoints: true } },
    without: { feature: 'biases', shape: { ...tiny, arch: 'llama' } },
  },
  {
    name: 'qwen3 in ops of ONNX Runtime: norms over rows of heads',
    shape: qwen3,
    style: { ops: 'onnxruntime' },
    without: {
      feature: 'norms of query and key',
      shape: { ...qwen3, arch: 'llama', attention: { ...attention, headDim: 32 } },
    },
  },
  {
    name: 'llama with MultiHeadAttention of ONNX Runtime',
    shape: { ...tiny, attention: { ...attention, kvHeads: 4 } },
    style: { ops: 'onnxruntime', multiHead: true },
    without: { feature: 'theta', shape: { ...tiny, rope: { theta: 500 }, attention: { ...attention, kvHeads: 4 } } },
  },
];

const root = mkdtempSync(join(tmpdir(), 'ingot-onnx-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function write(name: string, shape: LlmShape, style: OnnxStyle): string {
  const dir = join(root, name);
  mkdirSync(dir, { recursive: true });
  const { file, data } = modelOnnx(shape, randomWeights(shape, 1), style);
  writeFileSync(join(dir, 'model.onnx'), file);
  if (style.external !== undefined) writeFileSync(join(dir, style.external), data);
  writeFileSync(join(dir, 'config.json'), JSON.stringify(configOf(shape)));
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tinyTokenizer));
  return dir;
}

/** Largest difference of logits, fed the tokens that the oracle chose, and our own choices. */
function compare(
  graph: Checkpoint['graph'],
  weights: Checkpoint['weights'],
  prompt: readonly number[],
  oracle: Awaited<ReturnType<typeof runOnnxRuntime>>,
) {
  const session = createReference(graph, weights).start();
  let largest = 0;
  const take = (ours: Float32Array, theirs: Float32Array): void => {
    expect(theirs).toHaveLength(ours.length);
    for (const [i, logit] of theirs.entries()) {
      const difference = Math.abs(ours[i] - logit);
      largest = difference <= largest ? largest : Number.isNaN(difference) ? Infinity : difference;
    }
  };
  const all = session.forward(prompt, { all: true });
  take(all, oracle.prompt);
  let last: Float32Array = all.slice(-graph.shape.vocab);
  const greedy = oracle.greedy.map((token, i) => {
    take(last, oracle.logits[i]);
    const best = argmax(last);
    last = session.forward([token]);
    return best;
  });
  return { largest, greedy };
}

if (onnxRuntimeAbsent !== undefined) console.warn(`skipped: ONNX against ONNX Runtime: ${onnxRuntimeAbsent}`);

describe.skipIf(onnxRuntimeAbsent !== undefined)('decoders against ONNX Runtime', () => {
  it.each(cases)('$name', async ({ name, shape, style, without }) => {
    const dir = write(name.replaceAll(/\W+/g, '-').slice(0, 60), shape, style);
    const { heads: _, ...kv } = shape.attention as GqaShape;
    const prompt = Array.from({ length: 24 }, (_, i) => (i * 37 + 5) % shape.vocab);
    const oracle = await runOnnxRuntime(
      join(dir, 'model.onnx'),
      { layers: shape.layers, vocab: shape.vocab, kvHeads: kv.kvHeads, headDim: kv.headDim },
      prompt,
      steps,
    );
    const checkpoint = openCheckpoint(dir);
    try {
      const { largest, greedy } = compare(checkpoint.graph, checkpoint.weights, prompt, oracle);
      expect(largest).toBeLessThan(tolerance);
      expect(greedy).toEqual(oracle.greedy);
      // Text that repeats itself would show little.
      expect(new Set(greedy).size).toBeGreaterThan(4);
      const other = compare(graphOf(without.shape), checkpoint.weights, prompt, oracle);
      expect(other.largest, `without ${without.feature}`).toBeGreaterThan(missing);
    } finally {
      checkpoint.close();
    }
  });
});
