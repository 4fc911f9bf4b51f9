// Weights for tests and benches: seeded, so that every run and machine sees the same model.

import { createRng, fail } from '../../core/index.ts';
import type { LlmShape } from '../../spec/index.ts';
import { graphOf, requireExecutable } from '../arch/index.ts';
import { DTYPE_BYTES, f32ToBf16, widenInto } from '../format/float-formats.ts';
import type { WeightSource } from '../graph.ts';
import { opsOf, weightsOf } from '../op/verify-graph.ts';

const elementsOf = (extents: readonly number[]): number => extents.reduce((a, b) => a * b, 1);

/**
 * A checkpoint in memory with random weights for every name that the graph of `shape` reads.
 *
 * Scales keep activations near 1 and logits spread by about 1, so that comparisons of logits mean something:
 * embedding and head: normal with deviation 1 / sqrt(width); projections: half as much again, or the residual
 * stream would be mostly the last token's embedding and greedy text would repeat one token; norms: 1 ± 0.1;
 * (less the op's offset); biases and sinks: 0.2.
 * A tensor depends on its name and the seed only, not on the order of reading.
 * @param dtype stored type; `bf16` rounds to nearest even, and `read` returns the rounded values
 */
export function randomWeights(shape: LlmShape, seed: number, dtype: 'f32' | 'bf16' = 'f32'): WeightSource {
  const graph = graphOf(shape);
  requireExecutable(graph);
  const offsets = new Map(opsOf(graph).flatMap((op) => (op.kind === 'rmsnorm' ? [[op.weight, op.offset ?? 0]] : [])));
  const shapes = new Map(weightsOf(graph).map((weight) => [weight.name, weight.shape]));
  const tensors = new Map<string, Uint8Array>();

  const shapeOf = (name: string): readonly number[] =>
    shapes.get(name) ?? fail({ code: 'CHECKPOINT_TENSOR_MISSING', message: 'no such weight', where: name });

  /** The tensor as stored. */
  const stored = (name: string): Uint8Array => {
    const known = tensors.get(name);
    if (known !== undefined) return known;
    const extents = shapeOf(name);
    const rng = createRng(seed).fork(name);
    const isVector = extents.length === 1;
    const isBias = /bias$|sinks$/.test(name);
    const mean = isVector && !isBias ? 1 - (offsets.get(name) ?? 0) : 0;
    const gain = /_proj\.|\.w[123]\./.test(name) ? 1.5 : 1;
    const deviation = isVector ? (isBias ? 0.2 : 0.1) : gain / Math.sqrt(extents[extents.length - 1]);
    const drawn = Float32Array.from({ length: elementsOf(extents) }, () => mean + deviation * rng.normal());
    const offset = offsets.get(name) ?? 0;
    // Weights to which an op adds an offset: of so few bits that the sum is exact, since GGUF stores the sum.
    const values = offset === 0 ? drawn : drawn.map((x) => Math.fround(x + offset) - offset);
    const bytes = new Uint8Array((dtype === 'bf16' ? f32ToBf16(values) : values).buffer);
    tensors.set(name, bytes);
    return bytes;
  };

  return {
    names: [...shapes.keys()],
    has: (name) => shapes.has(name),
    shape: shapeOf,
    dtype: () => dtype,
    read(name) {
      const values = new Float32Array(elementsOf(shapeOf(name)));
      widenInto(values, 0, stored(name), dtype);
      return values;
    },
    readRows(name, from, to, target) {
      const rowBytes = elementsOf(shapeOf(name).slice(1)) * DTYPE_BYTES[dtype];
      target.set(stored(name).subarray(from * rowBytes, to * rowBytes));
    },
  };
}
