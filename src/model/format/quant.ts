// How GGUF stores the elements of a tensor, and the exact values that they stand for. Block formats keep a row as
// blocks of small whole numbers with scales. Layouts: ggml/src/ggml-common.h (block_q4_0, block_q8_0, block_q4_K,
// block_q6_K) of https://github.com/ggml-org/ggml; ids and names: enum ggml_type in ggml/include/ggml.h.
// Every product below is exact in float32 (an 11-bit scale times at most 13 bits), so the only rounding is that of
// the one subtraction in Q4_K, as in ggml.

import { assert } from '../../core/index.ts';
import type { DType } from '../graph.ts';
import { DTYPE_BYTES, f16BitsToF32Bits, widenInto } from './float-formats.ts';

export interface StorageType {
  /** As ggml names it. */
  readonly name: string;
  /** Elements of one block; the extent of a row is a multiple of it. 1 for plain floats. */
  readonly blockElements: number;
  readonly blockBytes: number;
  /**
   * The element type of rows that are handed on. A block format is widened to f32, which holds all its values; so the
   * memory that it saves in the file is not saved in a program yet.
   */
  readonly dtype: DType;
  /** Widen whole blocks into `target` from element `at` on. */
  widen(target: Float32Array, at: number, stored: Uint8Array): void;
}

const plain = (name: string, dtype: DType): StorageType => ({
  name,
  blockElements: 1,
  blockBytes: DTYPE_BYTES[dtype],
  dtype,
  widen: (target, at, stored) => widenInto(target, at, stored, dtype),
});

/** Widen the block that starts at byte `from` of `stored` into `target`, from element `at` on. */
type WidenBlock = (target: Float32Array, at: number, stored: Uint8Array, from: number) => void;

const blocks = (name: string, blockElements: number, blockBytes: number, widenBlock: WidenBlock): StorageType => ({
  name,
  blockElements,
  blockBytes,
  dtype: 'f32',
  widen(target, at, stored) {
    const count = stored.length / blockBytes;
    assert(Number.isInteger(count) && at + count * blockElements <= target.length, 'whole blocks fit the target');
    for (let block = 0; block < count; block++)
      widenBlock(target, at + block * blockElements, stored, block * blockBytes);
  },
});

const scaleBits = new Uint32Array(1);
const scaleValue = new Float32Array(scaleBits.buffer);
function f16At(stored: Uint8Array, at: number): number {
  scaleBits[0] = f16BitsToF32Bits(stored[at] | (stored[at + 1] << 8));
  return scaleValue[0];
}

const signed = (byte: number): number => (byte << 24) >> 24;

/** 32 elements: an f16 scale, then 16 bytes; byte i holds elements i (low half) and i + 16 (high half), each plus 8. */
const q4_0 = blocks('Q4_0', 32, 18, (target, at, stored, from) => {
  const scale = f16At(stored, from);
  for (let i = 0; i < 16; i++) {
    const pair = stored[from + 2 + i];
    target[at + i] = scale * ((pair & 15) - 8);
    target[at + 16 + i] = scale * ((pair >> 4) - 8);
  }
});

/** 32 elements: an f16 scale, then 32 signed bytes. */
const q8_0 = blocks('Q8_0', 32, 34, (target, at, stored, from) => {
  const scale = f16At(stored, from);
  for (let i = 0; i < 32; i++) target[at + i] = scale * signed(stored[from + 2 + i]);
});

/**
 * 256 elements in 8 groups of 32: f16 scale of scales, f16 scale of minima, 12 bytes with 8 scales and 8 minima of
 * 6 bits, 128 bytes of 4-bit elements. A value is scale · q − minimum. Bytes 32g to 32g + 31 hold group 2g in their
 * low halves and group 2g + 1 in their high halves.
 */
const q4K = blocks('Q4_K', 256, 144, (target, at, stored, from) => {
  const scales = f16At(stored, from);
  const minima = f16At(stored, from + 2);
  const packed = from + 4;
  for (let group = 0; group < 8; group++) {
    // Groups 0 to 3: the low 6 bits of bytes 0–3 (scales) and 4–7 (minima). Groups 4 to 7: the halves of bytes 8–11
    // are the low 4 bits, and what bytes 0–3 and 4–7 have left are the high 2 bits.
    const a = stored[packed + (group & 3)];
    const b = stored[packed + 4 + (group & 3)];
    const c = stored[packed + 8 + (group & 3)];
    const scale = scales * (group < 4 ? a & 63 : (c & 15) | ((a >> 6) << 4));
    const minimum = minima * (group < 4 ? b & 63 : (c >> 4) | ((b >> 6) << 4));
    const bytes = from + 16 + 32 * (group >> 1);
    const shift = 4 * (group & 1);
    for (let i = 0; i < 32; i++) target[at + 32 * group + i] = scale * ((stored[bytes + i] >> shift) & 15) - minimum;
  }
});

/**
 * 256 elements: 128 bytes of low 4 bits, 64 bytes of high 2 bits, 16 signed bytes of scales (one for 16 elements), f16
 * scale of scales. An element is its 6 bits minus 32. In each half of 128, low bits lie as in two runs of Q4_K's, and
 * byte i of the high bits holds elements i, i + 32, i + 64 and i + 96.
 */
const q6K = blocks('Q6_K', 256, 210, (target, at, stored, from) => {
  const scale = f16At(stored, from + 208);
  for (let half = 0; half < 2; half++) {
    const low = from + 64 * half;
    const high = from + 128 + 32 * half;
    for (let run = 0; run < 4; run++) {
      for (let i = 0; i < 32; i++) {
        const nibble = (stored[low + 32 * (run & 1) + i] >> (4 * (run >> 1))) & 15;
        const q = nibble | (((stored[high + i] >> (2 * run)) & 3) << 4);
        const groupScale = signed(stored[from + 192 + 8 * half + 2 * run + (i >> 4)]);
        target[at + 128 * half + 32 * run + i] = scale * groupScale * (q - 32);
      }
    }
  }
});

/** Values of the 4 bits of MXFP4 (OCP Microscaling Formats 1.0, E2M1): a sign, then magnitudes. */
const e2m1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];
/** 2^(byte - 127); 255 stands for no number. Every product with `e2m1` below infinity is exact in bfloat16. */
export const e8m0 = (byte: number): number => (byte === 0xff ? NaN : 2 ** (byte - 127));

/**
 * 32 elements of MXFP4, two in a byte.
 * @param next how far the element of the high half of a byte lies behind that of the low half; the first half of a block
 *   in ggml, 1 in safetensors
 */
export function widenMxfp4(
  target: Float32Array,
  at: number,
  stored: Uint8Array,
  from: number,
  scale: number,
  next: 1 | 16,
): void {
  for (let i = 0; i < 16; i++) {
    const pair = stored[from + i];
    const low = at + (next === 1 ? 2 * i : i);
    target[low] = scale * e2m1[pair & 15];
    target[low + next] = scale * e2m1[pair >> 4];
  }
}

/** 32 elements: an E8M0 scale, then 16 bytes; byte i holds elements i (low half) and i + 16 (high half). */
const mxfp4 = blocks('MXFP4', 32, 17, (target, at, stored, from) =>
  widenMxfp4(target, at, stored, from + 1, e8m0(stored[from]), 16),
);

/** What Ingot reads, by ggml's id of the type. */
export const storageTypes: ReadonlyMap<number, StorageType> = new Map([
  [0, plain('F32', 'f32')],
  [1, plain('F16', 'f16')],
  [2, q4_0],
  [8, q8_0],
  [12, q4K],
  [14, q6K],
  [30, plain('BF16', 'bf16')],
  [39, mxfp4],
]);

/** Types that a file may name and Ingot does not read, for messages. */
const otherTypes: ReadonlyMap<number, string> = new Map([
  [3, 'Q4_1'],
  [6, 'Q5_0'],
  [7, 'Q5_1'],
  [9, 'Q8_1'],
  [10, 'Q2_K'],
  [11, 'Q3_K'],
  [13, 'Q5_K'],
  [15, 'Q8_K'],
  [16, 'IQ2_XXS'],
  [17, 'IQ2_XS'],
  [18, 'IQ3_XXS'],
  [19, 'IQ1_S'],
  [20, 'IQ4_NL'],
  [21, 'IQ3_S'],
  [22, 'IQ2_S'],
  [23, 'IQ4_XS'],
  [24, 'I8'],
  [25, 'I16'],
  [26, 'I32'],
  [27, 'I64'],
  [28, 'F64'],
  [29, 'IQ1_M'],
  [34, 'TQ1_0'],
  [35, 'TQ2_0'],
]);

export const storageTypeName = (id: number): string => storageTypes.get(id)?.name ?? otherTypes.get(id) ?? `type ${id}`;
