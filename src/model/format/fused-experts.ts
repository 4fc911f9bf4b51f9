// gpt-oss keeps the experts of a layer in tensors of their own form; here they are shown as every other mixture has
// them: expert by expert, gate and up apart, [out, in].
//
// - As published (transformers, integrations/mxfp4.py): `gate_up_proj_blocks` [experts, 2 · ffn, width / 32, 16] with two
//   MXFP4 elements in a byte, the low half first, and `gate_up_proj_scales` [experts, 2 · ffn, width / 32]; rows of gate
//   and up take turns. `down_proj_*` alike, with rows of its own.
// - Widened: `gate_up_proj` [experts, width, 2 · ffn] and `down_proj` [experts, ffn, width], so [in, out].
// - Biases: `gate_up_proj_bias` [experts, 2 · ffn], `down_proj_bias` [experts, width].

import { assert, fail } from '../../core/index.ts';
import { dimensionLimits } from '../arch/index.ts';
import type { DType, WeightSource } from '../graph.ts';
import { DTYPE_BYTES, f32ToBf16, widenInto } from './float-formats.ts';
import { e8m0, widenMxfp4 } from './quant.ts';

/** Element types of a container: whole bytes are parts of a block format. */
export type StoredType = DType | 'u8';

/** Tensors as stored. */
export type StoredTensors = Omit<WeightSource, 'dtype'> & { dtype(name: string): StoredType };

const fused = /^(.+\.experts)\.(gate_up|down)_proj(_blocks|_scales|_bias)?$/;
/** Elements, and bytes, of a block. */
const BLOCK_ELEMENTS = 32;
const BLOCK_BYTES = 16;

/** Whether a tensor of whole bytes may have this name. */
export const isBlockPart = (name: string): boolean => /_(blocks|scales)$/.test(name) && fused.test(name);

/** One weight or bias of one expert. */
interface View {
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Rows [from, to) of it as stored elements of `dtype`. */
  rows(from: number, to: number): Uint8Array;
}

/**
 * @param where the checkpoint, for messages
 * @throws IngotError CHECKPOINT_TENSOR_MISSING, CHECKPOINT_TENSOR_SHAPE where the parts of a tensor do not fit together
 */
export function separateExperts(stored: StoredTensors, where: string): WeightSource {
  const names = stored.names.filter((name) => fused.test(name));
  const isPlain = (name: string): boolean => !fused.test(name);
  const views = new Map<string, View>();
  const slab = createSlabs(stored);
  for (const name of names) {
    const [, module, kind, part] = fused.exec(name) ?? [];
    if (part === '_scales') requirePart(stored, name.replace('_scales', '_blocks'), name, where);
    else addViews(views, stored, slab, { name, module, isPair: kind === 'gate_up', part: part ?? '' }, where);
  }
  const plainType = (name: string): DType => {
    const type = stored.dtype(name);
    assert(type !== 'u8', 'bytes are parts of block tensors only');
    return type;
  };
  if (views.size === 0) return { ...stored, dtype: plainType };
  const readRows = (name: string, from: number, to: number, target: Uint8Array): void => {
    const view = views.get(name);
    if (view === undefined) stored.readRows(name, from, to, target);
    else target.set(view.rows(from, to));
  };
  return {
    names: [...stored.names.filter(isPlain), ...views.keys()],
    has: (name) => views.has(name) || (isPlain(name) && stored.has(name)),
    shape: (name) => views.get(name)?.shape ?? stored.shape(name),
    dtype: (name) => views.get(name)?.dtype ?? plainType(name),
    read(name) {
      const view = views.get(name);
      if (view === undefined) return stored.read(name);
      const values = new Float32Array(elementsOf(view.shape));
      widenInto(values, 0, view.rows(0, view.shape[0]), view.dtype);
      return values;
    },
    readRows,
  };
}

/** Bytes of one expert of a tensor. */
type Slab = (name: string, expert: number) => Uint8Array<ArrayBuffer>;

/** Keeps the experts that were read last, of as many tensors as one weight is made of: rows are asked for in pieces. */
function createSlabs(stored: StoredTensors): Slab {
  const kept: { readonly name: string; readonly expert: number; readonly bytes: Uint8Array<ArrayBuffer> }[] = [];
  return (name, expert) => {
    const known = kept.find((one) => one.name === name && one.expert === expert);
    if (known !== undefined) return known.bytes;
    const type = stored.dtype(name);
    const bytes = new Uint8Array(elementsOf(stored.shape(name).slice(1)) * (type === 'u8' ? 1 : DTYPE_BYTES[type]));
    stored.readRows(name, expert, expert + 1, bytes);
    kept.unshift({ name, expert, bytes });
    kept.length = Math.min(kept.length, 2);
    return bytes;
  };
}

interface Fused {
  readonly name: string;
  readonly module: string;
  /** Gate and up together. */
  readonly isPair: boolean;
  readonly part: string;
}

function addViews(
  views: Map<string, View>,
  stored: StoredTensors,
  slab: Slab,
  { name, module, isPair, part }: Fused,
  where: string,
): void {
  const shape = stored.shape(name);
  const isBias = part === '_bias';
  const isBlocks = part === '_blocks';
  const rank = isBias ? 2 : isBlocks ? 4 : 3;
  const outputs = isBias || isBlocks ? shape[1] : shape[2];
  const pieces = isPair ? (['gate_proj', 'up_proj'] as const) : (['down_proj'] as const);
  const sound = shape.length === rank && shape[0] <= dimensionLimits.experts && outputs % pieces.length === 0;
  if (!sound || (isBlocks && shape[3] !== BLOCK_BYTES) || isBlocks !== (stored.dtype(name) === 'u8'))
    wrongShape(name, shape, where);
  if (isBlocks) {
    const scales = name.replace('_blocks', '_scales');
    requirePart(stored, scales, name, where);
    if (stored.shape(scales).join() !== shape.slice(0, 3).join() || stored.dtype(scales) !== 'u8')
      wrongShape(scales, stored.shape(scales), where);
  }
  const step = pieces.length;
  const n = outputs / step;
  for (let expert = 0; expert < shape[0]; expert++) {
    for (const [offset, piece] of pieces.entries()) {
      const view = isBias
        ? biasView(stored, slab, name, expert, { n, step, offset })
        : isBlocks
          ? blocksView(slab, name, expert, { n, step, offset }, shape[2])
          : transposedView(stored, slab, name, expert, { n, step, offset }, shape[1]);
      views.set(`${module}.${expert}.${piece}.${isBias ? 'bias' : 'weight'}`, view);
    }
  }
}

/** Output i of a piece is output offset + i · step of the tensor. */
interface Turn {
  readonly n: number;
  readonly step: number;
  readonly offset: number;
}

/** Elements of `bytes` at the given places. */
function gather(bytes: Uint8Array<ArrayBuffer>, type: DType, count: number, place: (i: number) => number): Uint8Array {
  const Words = type === 'f32' ? Uint32Array : Uint16Array;
  const words = new Words(bytes.buffer, bytes.byteOffset, bytes.length / DTYPE_BYTES[type]);
  const out = new Words(count);
  for (let i = 0; i < count; i++) out[i] = words[place(i)];
  return new Uint8Array(out.buffer);
}

const floatType = (stored: StoredTensors, name: string): DType => {
  const type = stored.dtype(name);
  assert(type !== 'u8', `${name} holds floats`);
  return type;
};

function biasView(stored: StoredTensors, slab: Slab, name: string, expert: number, { n, step, offset }: Turn): View {
  const dtype = floatType(stored, name);
  return {
    shape: [n],
    dtype,
    rows: (from, to) => gather(slab(name, expert), dtype, to - from, (i) => offset + (from + i) * step),
  };
}

function transposedView(
  stored: StoredTensors,
  slab: Slab,
  name: string,
  expert: number,
  { n, step, offset }: Turn,
  k: number,
): View {
  const dtype = floatType(stored, name);
  return {
    shape: [n, k],
    dtype,
    rows: (from, to) =>
      gather(slab(name, expert), dtype, (to - from) * k, (at) => {
        const [row, i] = [from + Math.floor(at / k), at % k];
        return i * n * step + offset + row * step;
      }),
  };
}

/** MXFP4 as bfloat16, which holds every value of it. */
function blocksView(slab: Slab, name: string, expert: number, { n, step, offset }: Turn, blocks: number): View {
  const scalesName = name.replace('_blocks', '_scales');
  return {
    shape: [n, blocks * BLOCK_ELEMENTS],
    dtype: 'bf16',
    rows(from, to) {
      const bytes = slab(name, expert);
      const scales = slab(scalesName, expert);
      const values = new Float32Array((to - from) * blocks * BLOCK_ELEMENTS);
      for (let row = from; row < to; row++) {
        for (let block = 0; block < blocks; block++) {
          const at = (offset + row * step) * blocks + block;
          const out = ((row - from) * blocks + block) * BLOCK_ELEMENTS;
          widenMxfp4(values, out, bytes, at * BLOCK_BYTES, e8m0(scales[at]), 1);
        }
      }
      return new Uint8Array(f32ToBf16(values).buffer);
    },
  };
}

function requirePart(stored: StoredTensors, part: string, of: string, where: string): void {
  if (stored.has(part)) return;
  fail({
    code: 'CHECKPOINT_TENSOR_MISSING',
    message: 'blocks and scales of a tensor belong together',
    where: `${where}, tensor ${part}`,
    expected: `a counterpart of ${of}`,
    suggestion: 'fetch all weights of the model',
  });
}

function wrongShape(name: string, shape: readonly number[], where: string): never {
  return fail({
    code: 'CHECKPOINT_TENSOR_SHAPE',
    message: 'a tensor of all experts does not have the form that transformers gives it',
    where: `${where}, tensor ${name}`,
    expected:
      'blocks [experts, out, in / 32, 16] with scales [experts, out, in / 32] in bytes, or floats [experts, in, out]',
    found: `[${shape.join(', ')}]`,
    suggestion: 'use the weights that were published with this config.json',
  });
}

const elementsOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);
