// Linear layers whose weights are widened and multiplied by a scale as they are read: fp8 with a scale a row, int4 with
// one for some neighbours of a row. Sums are those of linear.as.ts; only where a weight comes from differs.
//
// A block's element of k: fp8 16 bytes, of which lane l holds the rows l, 4 + l, 8 + l, 12 + l from its highest byte
// down; int4 8 bytes, of which the 16 bits of lane l hold the same rows from its lowest bits up. Scales are fp32, 16 of a
// block together, those of fp8 times 2^120; those of int4 lie group after group, and a table gives for each element of k where its group's are.
import { add, kept, mul, toE4m3 } from './arithmetic.as';
import { blockRows, formatFp8, runBytes, runLevelMask } from './layout';
import { largest, smallestScaled } from './linear-int8.as';
import { clear, fold } from './linear.as';

/** An e4m3 in the upper byte of each lane, shifted into place: 2^-120 times its value, which its scale makes up for. */
// @ts-ignore: decorator
@inline
function widenE4m3(upper: v128, bits: v128): v128 {
  return v128.and(i32x4.shr_s(upper, 4), bits);
}
// @ts-ignore: decorator
@inline
function e4m3Bits(any: usize): v128 {
  return kept(i32x4.splat(0x87f00000), any);
}
/** 2^120: exponents rebased from 7 to 127. */
const rebase: f32 = 1329227995784915872903807060280344576.0;

// The format is a type parameter, as in linear.as.ts: u8 for fp8, i8 for int4.

/** Bytes of one element of k in a block. */
// @ts-ignore: decorator
@inline
function step<F>(): usize {
  return isSigned<F>() ? 8 : 16;
}
// @ts-ignore: decorator
@inline
function stored<F>(w: usize): v128 {
  return isSigned<F>() ? v128.load16x4_s(w) : v128.load(w);
}
/** Four rows, without their scales. */
// @ts-ignore: decorator
@inline
function rows<F>(v: v128, vector: i32, bits: v128): v128 {
  // Above the topmost four bits of a lane is their sign.
  if (isSigned<F>()) return f32x4.convert_i32x4_s(vector == 3 ? i32x4.shr_s(v, 12) : i32x4.shr_s(i32x4.shl(v, 28 - 4 * vector), 28));
  return widenE4m3(vector == 0 ? v : i32x4.shl(v, 8 * vector), bits);
}

/** One token times the row blocks [from, to). `offsets` is the table of groups, for int4. */
function vectorTimesBlocks<F>(
  weights: usize, xs: usize, k: usize, runs: usize, runsEnd: usize, from: i32, to: i32, out: usize, bias: usize, acc: usize,
  scales: usize, scaleBytes: usize, offsets: usize,
): void {
  const zero = f32x4.splat(0);
  const bits = e4m3Bits(xs);
  let w = weights + <usize>from * k * step<F>();
  for (let block = from; block < to; block++) {
    let x = xs;
    let at = offsets;
    const own = scales + <usize>block * scaleBytes;
    let group = own;
    let s0 = v128.load(own), s1 = v128.load(own, 16), s2 = v128.load(own, 32), s3 = v128.load(own, 48);
    let c0 = zero, c1 = zero, c2 = zero, c3 = zero;
    clear(acc);
    for (let run = runs; run < runsEnd; run += runBytes) {
      let tiles = load<i32>(run, 4);
      const tileBytes = load<usize>(run, 8) << 2;
      const level = load<i32>(run, 12) & runLevelMask;
      do {
        const end = x + tileBytes;
        let p0 = zero, p1 = zero, p2 = zero, p3 = zero;
        do {
          const s = v128.load32_splat(x), v = stored<F>(w);
          if (isSigned<F>()) {
            const next = own + load<usize>(at);
            at += 4;
            if (next != group) {
              group = next;
              s0 = v128.load(group), s1 = v128.load(group, 16), s2 = v128.load(group, 32), s3 = v128.load(group, 48);
            }
          }
          p0 = add(p0, mul(mul(rows<F>(v, 0, bits), s0), s));
          p1 = add(p1, mul(mul(rows<F>(v, 1, bits), s1), s));
          p2 = add(p2, mul(mul(rows<F>(v, 2, bits), s2), s));
          p3 = add(p3, mul(mul(rows<F>(v, 3, bits), s3), s));
          x += 4;
          w += step<F>();
        } while (x < end);
        c0 = add(c0, p0);
        c1 = add(c1, p1);
        c2 = add(c2, p2);
        c3 = add(c3, p3);
      } while (--tiles);
      if (level) {
        fold(acc, level, c0, c1, c2, c3);
        c0 = zero, c1 = zero, c2 = zero, c3 = zero;
      }
    }
    const offset = <usize>block * (blockRows * 4);
    for (let i: usize = 0; i < 64; i += 16) {
      let y = v128.load(acc + 128 + i);
      if (bias) y = add(y, v128.load(bias + offset + i));
      v128.store(out + offset + i, y);
    }
  }
}

/** Widen `k` elements of a block into two panels of 8 rows, fp32, [k][8] each. */
function unpackBlock<F>(w: usize, k: usize, panel: usize, own: usize, offsets: usize): void {
  const bits = e4m3Bits(w);
  let low = panel;
  let high = panel + k * 32;
  for (let i: usize = 0; i < k; i++) {
    const v = stored<F>(w);
    const scales = isSigned<F>() ? own + load<usize>(offsets + (i << 2)) : own;
    v128.store(low, mul(rows<F>(v, 0, bits), v128.load(scales)));
    v128.store(low, mul(rows<F>(v, 1, bits), v128.load(scales, 16)), 16);
    v128.store(high, mul(rows<F>(v, 2, bits), v128.load(scales, 32)));
    v128.store(high, mul(rows<F>(v, 3, bits), v128.load(scales, 48)), 16);
    w += step<F>();
    low += 32;
    high += 32;
  }
}

export function vectorTimesScaled(
  format: i32, weights: usize, xs: usize, k: usize, runs: usize, runsEnd: usize, from: i32, to: i32, out: usize, bias: usize,
  acc: usize, scales: usize, scaleBytes: usize, offsets: usize,
): void {
  if (format == formatFp8)
    vectorTimesBlocks<u8>(weights, xs, k, runs, runsEnd, from, to, out, bias, acc, scales, scaleBytes, offsets);
  else vectorTimesBlocks<i8>(weights, xs, k, runs, runsEnd, from, to, out, bias, acc, scales, scaleBytes, offsets);
}

/**
 * Widen `k` elements from the one that is `at`th over all blocks; `own`: the scales of
 * its block, `offsets`: its place in the table of groups.
 */
export function unpackScaled(format: i32, weights: usize, at: usize, k: usize, panel: usize, own: usize, offsets: usize): void {
  if (format == formatFp8) unpackBlock<u8>(weights + at * step<u8>(), k, panel, own, offsets);
  else unpackBlock<i8>(weights + at * step<i8>(), k, panel, own, offsets);
}

/** The lane that holds a row; which of the lane's four it is, is row / 4. */
// @ts-ignore: decorator
@inline
function laneOf(row: usize): usize {
  return row & 3;
}

/**
 * One fp8 block from up to 16 rows of fp32 in the given order, and the scales of its rows. Missing rows are zeros.
 * @returns rows whose scale fp32 does not hold 2^120 times: those with a weight of 114,688 or more
 */
export function packBlockFp8(out: usize, scales: usize, input: usize, count: i32, k: usize, order: usize): i32 {
  let bad = 0;
  for (let r: usize = 0; r < <usize>blockRows; r++) {
    const row = input + r * (k << 2);
    const most: f32 = r < <usize>count ? largest(row, k) : 0;
    const scale: f32 = most >= smallestScaled ? most / 448 : 0;
    const inverse: f32 = scale > 0 ? <f32>1 / scale : 0;
    store<f32>(scales + (r << 2), scale * rebase);
    if (!isFinite<f32>(scale * rebase)) bad++;
    let at = out + (laneOf(r) << 2) + 3 - (r >> 2);
    for (let i: usize = 0; i < k; i++, at += 16)
      store<u8>(at, r < <usize>count ? <u8>toE4m3(load<f32>(row + (load<usize>(order + (i << 2)) << 2)) * inverse) : 0);
  }
  return bad;
}

/** One int4 block, and the scales of its groups of `group` neighbours, [groups][16 rows]. */
export function packBlockInt4(out: usize, scales: usize, input: usize, count: i32, k: usize, order: usize, group: usize): void {
  memory.fill(out, 0, k << 3);
  for (let r: usize = 0; r < <usize>blockRows; r++) {
    const row = input + r * (k << 2);
    for (let from: usize = 0; from < k; from += group) {
      const most: f32 = r < <usize>count ? largest(row + (from << 2), min(group, k - from)) : 0;
      store<f32>(scales + (from / group) * 64 + (r << 2), most >= smallestScaled ? roundToBf16(most / 7) : 0);
    }
    if (r >= <usize>count) continue;
    let at = out + (laneOf(r) << 1);
    for (let i: usize = 0; i < k; i++, at += 8) {
      const element = load<usize>(order + (i << 2));
      const scale = load<f32>(scales + (element / group) * 64 + (r << 2));
      const inverse: f32 = scale > 0 ? <f32>1 / scale : 0;
      const q = <i32>max<f32>(-7, min<f32>(7, nearest<f32>(load<f32>(row + (element << 2)) * inverse)));
      store<u16>(at, load<u16>(at) | <u16>((q & 15) << (<i32>(r >> 2) << 2)));
    }
  }
}

// @ts-ignore: decorator
@inline
function roundToBf16(x: f32): f32 {
  const bits = reinterpret<u32>(x);
  return reinterpret<f32>((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000);
}
