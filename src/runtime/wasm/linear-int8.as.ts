// Linear layers in int8: weights per output row, activations per token, products added in int32. Integer
// addition is exact, so the order of the tree does not matter and k stays in its natural order.
import { add, mul } from './arithmetic.as';
import { tokenGroup } from './layout';

/** Two elements of k of four rows, times the same two elements of the token in every lane. */
// @ts-ignore: decorator
@inline
function dot(w: usize, offset: usize, x: v128): v128 {
  return i32x4.dot_i16x8_s(v128.load8x8_s(w + offset), x);
}

/** Sums to fp32, times (token scale * row scale), plus bias. */
// @ts-ignore: decorator
@inline
function finish(sum: v128, scale: f32, scales: usize, bias: usize, out: usize): void {
  let y = mul(f32x4.convert_i32x4_s(sum), mul(f32x4.splat(scale), v128.load(scales)));
  if (bias) y = add(y, v128.load(bias));
  v128.store(out, y);
}

/**
 * `tokens` quantized tokens times the row blocks [from, to). A block is [pairs of k][16 rows][2] int8; `xs` is
 * [pairs][2] int16 for one token, else groups of four tokens, [pairs][4][2].
 */
export function linearInt8(
  weights: usize, xs: usize, tokens: i32, pairs: usize, scales: usize, tokenScales: usize,
  from: i32, to: i32, out: usize, stride: usize, bias: usize,
): void {
  if (tokens == 1) vector(weights, xs, pairs, scales, load<f32>(tokenScales), from, to, out, bias);
  else groups(weights, xs, (tokens + tokenGroup - 1) / tokenGroup, pairs, scales, tokenScales, from, to, out, stride, bias);
}

/** As two streams, each half of the blocks: see linear.as.ts. */
function vector(
  weights: usize, xs: usize, pairs: usize, scales: usize, scale: f32, from: i32, to: i32, out: usize, bias: usize,
): void {
  const zero = i32x4.splat(0);
  const end = xs + (pairs << 2);
  const rounds = (to - from + 1) >> 1;
  let v = weights + <usize>from * (pairs << 5);
  let w = weights + <usize>(to - rounds) * (pairs << 5);
  for (let round = 0; round < rounds; round++) {
    let c0 = zero, c1 = zero, c2 = zero, c3 = zero, d0 = zero, d1 = zero, d2 = zero, d3 = zero;
    for (let x = xs; x < end; x += 4) {
      const s = v128.load32_splat(x);
      c0 = i32x4.add(c0, dot(v, 0, s));
      c1 = i32x4.add(c1, dot(v, 8, s));
      c2 = i32x4.add(c2, dot(v, 16, s));
      c3 = i32x4.add(c3, dot(v, 24, s));
      d0 = i32x4.add(d0, dot(w, 0, s));
      d1 = i32x4.add(d1, dot(w, 8, s));
      d2 = i32x4.add(d2, dot(w, 16, s));
      d3 = i32x4.add(d3, dot(w, 24, s));
      v += 32;
      w += 32;
    }
    finishBlock(c0, c1, c2, c3, scale, from + round, scales, bias, out);
    finishBlock(d0, d1, d2, d3, scale, to - rounds + round, scales, bias, out);
  }
}

/** `finish` for the rows of a block. */
// @ts-ignore: decorator
@inline
function finishBlock(
  c0: v128, c1: v128, c2: v128, c3: v128, scale: f32, block: i32, scales: usize, bias: usize, out: usize,
): void {
  const offset = <usize>block << 6;
  const b = bias ? bias + offset : 0;
  finish(c0, scale, scales + offset, b, out + offset);
  finish(c1, scale, scales + offset + 16, b ? b + 16 : 0, out + offset + 16);
  finish(c2, scale, scales + offset + 32, b ? b + 32 : 0, out + offset + 32);
  finish(c3, scale, scales + offset + 48, b ? b + 48 : 0, out + offset + 48);
}

function groups(
  weights: usize, xs: usize, count: i32, pairs: usize, scales: usize, tokenScales: usize,
  from: i32, to: i32, out: usize, stride: usize, bias: usize,
): void {
  const zero = i32x4.splat(0);
  for (let block = from; block < to; block++) {
    for (let half: usize = 0; half < 2; half++) {
      const offset = (<usize>block << 6) + (half << 5);
      const b0 = bias ? bias + offset : 0;
      const b1 = bias ? bias + offset + 16 : 0;
      for (let g = 0; g < count; g++) {
        let w = weights + <usize>block * (pairs << 5) + (half << 4);
        let x = xs + <usize>g * (pairs << 4);
        const end = x + (pairs << 4);
        let p0 = zero, p1 = zero, p2 = zero, p3 = zero, p4 = zero, p5 = zero, p6 = zero, p7 = zero;
        while (x < end) {
          const u = v128.load8x8_s(w), v = v128.load8x8_s(w, 8);
          let s = v128.load32_splat(x);
          p0 = i32x4.add(p0, i32x4.dot_i16x8_s(u, s));
          p1 = i32x4.add(p1, i32x4.dot_i16x8_s(v, s));
          s = v128.load32_splat(x, 4);
          p2 = i32x4.add(p2, i32x4.dot_i16x8_s(u, s));
          p3 = i32x4.add(p3, i32x4.dot_i16x8_s(v, s));
          s = v128.load32_splat(x, 8);
          p4 = i32x4.add(p4, i32x4.dot_i16x8_s(u, s));
          p5 = i32x4.add(p5, i32x4.dot_i16x8_s(v, s));
          s = v128.load32_splat(x, 12);
          p6 = i32x4.add(p6, i32x4.dot_i16x8_s(u, s));
          p7 = i32x4.add(p7, i32x4.dot_i16x8_s(v, s));
          x += 16;
          w += 32;
        }
        const scale = tokenScales + (<usize>g << 4);
        const s0 = scales + offset, s1 = scales + offset + 16;
        let y = out + <usize>g * tokenGroup * stride + offset;
        finish(p0, load<f32>(scale), s0, b0, y);
        finish(p1, load<f32>(scale), s1, b1, y + 16);
        y += stride;
        finish(p2, load<f32>(scale, 4), s0, b0, y);
        finish(p3, load<f32>(scale, 4), s1, b1, y + 16);
        y += stride;
        finish(p4, load<f32>(scale, 8), s0, b0, y);
        finish(p5, load<f32>(scale, 8), s1, b1, y + 16);
        y += stride;
        finish(p6, load<f32>(scale, 12), s0, b0, y);
        finish(p7, load<f32>(scale, 12), s1, b1, y + 16);
      }
    }
  }
}

/** Largest magnitude of `count` fp32 at `at`; NaN is passed over. */
export function largest(at: usize, count: usize): f32 {
  let four = f32x4.splat(0);
  let i: usize = 0;
  for (; i + 4 <= count; i += 4) four = f32x4.pmax(four, f32x4.abs(v128.load(at + (i << 2))));
  for (; i < count; i++) four = f32x4.pmax(four, f32x4.abs(v128.load32_splat(at + (i << 2))));
  const two = f32x4.pmax(four, v128.shuffle<f32>(four, four, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(two, v128.shuffle<f32>(two, two, 1, 0, 3, 2)), 0);
}

/** Scale of a row with this largest magnitude: 0, and so zeros, where 127 / most would overflow. */
// @ts-ignore: decorator
@inline
export function rowScale(most: f32): f32 {
  return most >= smallestScaled ? most / 127 : 0;
}
// @ts-ignore: decorator
@inline
export function rowInverse(most: f32): f32 {
  return most >= smallestScaled ? 127 / most : 0;
}
/** 2^-100. */
export const smallestScaled: f32 = 7.888609052210118e-31;

/** x * inverse to the nearest integer, ties to even, within -127 .. 127, as int32. */
// @ts-ignore: decorator
@inline
export function quantize4(x: v128, inverse: v128): v128 {
  const q = f32x4.nearest(mul(x, inverse));
  return i32x4.trunc_sat_f32x4_s(f32x4.pmax(f32x4.splat(-127), f32x4.pmin(f32x4.splat(127), q)));
}

/**
 * Rows of one input as int16, with their scales: [pairs][2] for one token, else groups of four tokens,
 * [pairs][4][2], padded with zeros. Writes the groups [from, to).
 */
export function quantizeRows(
  out: usize, pairs: usize, input: usize, stride: usize, k: usize, scales: usize, tokens: i32, from: i32, to: i32,
): void {
  const width: usize = tokens == 1 ? 1 : tokenGroup;
  for (let g = from; g < to; g++) {
    for (let t: usize = 0; t < width; t++) {
      const token = <usize>g * width + t;
      const row = input + token * stride;
      const present = token < <usize>tokens;
      const most = present ? largest(row, k) : 0;
      store<f32>(scales + (token << 2), rowScale(most));
      const inverse = f32x4.splat(rowInverse(most));
      let at = out + <usize>g * (pairs << 2) * width + (t << 2);
      const next = width << 2;
      let i: usize = 0;
      if (present) {
        for (; i + 4 <= k; i += 4) {
          const q = quantize4(v128.load(row + (i << 2)), inverse);
          const narrow = i16x8.narrow_i32x4_s(q, q);
          v128.store32_lane(at, narrow, 0);
          v128.store32_lane(at + next, narrow, 1);
          at += next << 1;
        }
      }
      for (; i < pairs << 1; i++) {
        const q = present && i < k ? quantize4(v128.load32_splat(row + (i << 2)), inverse) : i32x4.splat(0);
        store<i16>(at + ((i & 1) << 1), <i16>i32x4.extract_lane(q, 0));
        if (i & 1) at += next;
      }
    }
  }
}
