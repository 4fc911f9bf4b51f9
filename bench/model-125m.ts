// The model of the decode bench: a random llama of 124.67 M parameters in three files with the same weights, made
// once into an ignored folder. With INGOT_BENCH_MODEL=moe it is a mixture of the form of qwen3_moe instead, of 95.1 M
// parameters, 29.0 M of which a token passes (the embedding counted in full).

import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { compile } from '../src/compiler/index.ts';
import { encodeSafetensors, graphOf, randomWeights } from '../src/model/index.ts';
import { createPlacementCost } from '../src/sim/index.ts';
import { findWafer, mixtureOfExperts, resolveWafer, type LlmShape } from '../src/spec/index.ts';
import type { Numerics, Program } from '../src/wafer/index.ts';
import { modelGguf } from '../test/oracle/model-gguf.ts';

const dense: LlmShape = {
  arch: 'llama',
  hidden: 768,
  layers: 12,
  vocab: 32_000,
  maxContext: 2048,
  normEps: 1e-5,
  layerNorms: 2,
  rope: { theta: 10_000 },
  tiedEmbeddings: false,
  attention: { kind: 'gqa', heads: 12, kvHeads: 4, headDim: 64, qkvBias: false, outBias: false, qkNorm: false },
  mlp: { kind: 'dense', ffn: 2048 },
};

const mixture: LlmShape = {
  ...dense,
  arch: 'qwen3_moe',
  hidden: 512,
  layers: 4,
  vocab: 16_000,
  attention: { kind: 'gqa', heads: 8, kvHeads: 4, headDim: 64, qkvBias: false, outBias: false, qkNorm: true },
  mlp: mixtureOfExperts(32, 4, 384),
};
const isMixture = process.env['INGOT_BENCH_MODEL'] === 'moe';
export const shape = isMixture ? mixture : dense;

const seed = 125;

export const folder = resolve(import.meta.dirname, isMixture ? '../build/bench-moe' : '../build/bench-125m');
/** The checkpoint as bf16 safetensors lies in `folder`; these are its copies for llama.cpp. */
export const gguf = { f16: join(folder, 'f16.gguf'), q8_0: join(folder, 'q8_0.gguf') };

/** Write the three files, unless they are there. */
export function ensureModel(): void {
  const checkpoint = join(folder, 'model.safetensors');
  const files = [checkpoint, ...Object.values(gguf)];
  if (files.every((file) => existsSync(file))) return;
  process.stderr.write('making the checkpoint (once) …\n');
  mkdirSync(folder, { recursive: true });
  const weights = randomWeights(shape, seed, 'bf16');
  const write = (file: string, bytes: Uint8Array): void => {
    writeFileSync(`${file}.tmp`, bytes);
    renameSync(`${file}.tmp`, file);
  };
  const tensors = weights.names.map((name) => {
    const extents = weights.shape(name);
    const bytes = new Uint8Array(extents.reduce((a, b) => a * b, 2));
    weights.readRows(name, 0, extents[0], bytes);
    return { name, dtype: 'bf16' as const, shape: extents, bytes };
  });
  write(checkpoint, encodeSafetensors(tensors));
  write(gguf.f16, modelGguf(shape, weights, 'f16'));
  write(gguf.q8_0, modelGguf(shape, weights, 'q8_0'));
}

/** The program as `ingot compile` makes it for a WSE-3. */
export function benchProgram(weights: Numerics['weights']): Program {
  const wafer = resolveWafer(findWafer('wse3'));
  const graph = graphOf(shape);
  const numerics = { weights, activations: 'fp32', kv: 'fp32' } as const;
  return compile({
    model: isMixture ? 'bench-moe' : 'bench-125m',
    graph,
    wafer,
    numerics,
    kvTokens: shape.maxContext,
    cost: createPlacementCost(graph, numerics, wafer),
  });
}
