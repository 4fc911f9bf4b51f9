// A model of ours as a GGUF file whose every part a test may change before it is written.

import type { WeightSource } from '../src/model/index.ts';
import type { LlmShape } from '../src/spec/index.ts';
import { bool, f32, list, tensorTypes, text, u32, type RawGguf, type RawTensor, type TypedValue } from './gguf.ts';
import { modelParts } from './oracle/model-gguf.ts';
import type { GgufValue } from './oracle/gguf-writer.ts';

function typed(value: GgufValue): TypedValue {
  if ('u32' in value) return u32(value.u32);
  if ('f32' in value) return f32(value.f32);
  if ('bool' in value) return bool(value.bool);
  if ('string' in value) return text(value.string);
  if ('strings' in value) return list('string', value.strings);
  if ('f32s' in value) return list('f32', value.f32s);
  return list('i32', value.i32s);
}

export interface GgufModelChanges {
  /** Elements of a tensor in another type; undefined leaves it float32. Names are those of GGUF. */
  readonly store?: (name: string, values: Float32Array) => Pick<RawTensor, 'type' | 'bytes'> | undefined;
  /** Keys that replace or follow those of the model; undefined removes one. */
  readonly metadata?: Readonly<Record<string, TypedValue | undefined>>;
}

export function rawModel(shape: LlmShape, weights: WeightSource, changes: GgufModelChanges = {}): RawGguf {
  const parts = modelParts(shape, weights);
  const metadata: Record<string, TypedValue | undefined> = {
    ...Object.fromEntries(Object.entries(parts.metadata).map(([key, value]) => [key, typed(value)])),
    ...changes.metadata,
  };
  const tensors = parts.tensors.map(({ name, shape: extents, values }): RawTensor => {
    const plain = { type: tensorTypes.F32, bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
    return { name, shape: extents, ...(changes.store?.(name, values) ?? plain) };
  });
  return {
    metadata: Object.entries(metadata).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])),
    tensors,
  };
}
