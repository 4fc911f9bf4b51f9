// The model of the decode bench: a random llama of 124.67 M parameters in three files with the same weights, made
// once into an ignored folder.

import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { compile } from '../src/compiler/index.ts';
import { encodeSafetensors, graphOf, randomWeights } from '../src/model/index.ts';
import { createCostModel, total } from '../src/sim/index.ts';
import { findWafer, resolveWafer } from '../src/spec/index.ts';
import type { LlmShape } from '../src/spec/index.ts';
import type { Numerics, Program } from '../src/wafer/index.ts';
import { modelGguf } from '../test/oracle/model-gguf.ts';

export const shape: LlmShape = {
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

const seed = 125;

export const folder = resolve(import.meta.dirname, '../build/bench-125m');
/** The checkpoint as bf16 safetensors lies in `folder`; these are its copies for llama.cpp. */
export const gguf = { f16: join(folder, 'f16.gguf'), q8_0: join(folder, 'q8_0.gguf') };

/** Write the three files, unless they are there. */
export function ensureModel(): void {
  const checkpoint = join(folder, 'model.safetensors');
  const files = [checkpoint, ...Object.values(gguf)];
  if (files.every((file) => existsSync(file))) return;
  process.stderr.write('making the 125M checkpoint (once) …\n');
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
  return compile({
    model: 'bench-125m',
    graph,
    wafer,
    numerics: { weights, activations: 'fp32', kv: 'fp32' },
    kvTokens: shape.maxContext,
    cost: (mesh) => total(createCostModel(graph, mesh, 'fp32', wafer).layer(1, shape.maxContext)),
  });
}
