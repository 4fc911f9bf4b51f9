// Ops that treat each row by itself: embedding, norm, rotary embedding, gated unit, sum, gather.
import { add, clampedSilu4, fromBf16, fromF16, geluTanh4, mul, silu4, softcap4 } from './arithmetic.as';
import { activationClampedSilu, activationSilu, blockRows, formatBf16, formatF16, formatF32, runBytes, runDescending, runLevelMask } from './layout';

/** Element `index` of a table in a 16-bit format or fp32. */
// @ts-ignore: decorator
@inline
function element(format: i32, table: usize, index: usize): f32 {
  if (format == formatF32) return load<f32>(table + (index << 2));
  const bits = <u32>load<u16>(table + (index << 1));
  return format == formatBf16 ? fromBf16(bits) : fromF16(bits);
}

/** Place of row r of a block among the 16 elements that lie together for one element of k. */
export function placeInBlock(format: i32, row: i32): i32 {
  return format == formatF32 ? row : ((row & 7) << 1) + (row >> 3);
}

/** One row of an embedding, from the packed blocks of the head that shares its weights. */
export function embed(out: usize, token: i32, blocks: usize, format: i32, width: usize, order: usize): void {
  const first = <usize>(token / blockRows) * width * blockRows + placeInBlock(format, token % blockRows);
  for (let i: usize = 0; i < width; i++)
    store<f32>(out + (load<usize>(order + (i << 2)) << 2), element(format, blocks, first + i * blockRows));
}

/** Sum of squares in the order of the tree. */
function sumOfSquares(x: usize, runs: usize, runsEnd: usize): f32 {
  let chain: f32 = 0, level1: f32 = 0, level2: f32 = 0, level3: f32 = 0;
  for (let run = runs; run < runsEnd; run += runBytes) {
    let at = x + (load<usize>(run) << 2);
    let tiles = load<i32>(run, 4);
    const tileBytes = load<usize>(run, 8) << 2;
    const code = load<i32>(run, 12);
    do {
      let partial: f32 = 0;
      for (let i: usize = 0; i < tileBytes; i += 4) {
        const value = load<f32>(at + i);
        partial += value * value;
      }
      chain += partial;
      at = code & runDescending ? at - tileBytes : at + tileBytes;
    } while (--tiles);
    const level = code & runLevelMask;
    if (level == 0) continue;
    level1 += chain;
    chain = 0;
    if (level > 1) {
      level2 += level1;
      level1 = 0;
    }
    if (level > 2) {
      level3 += level2;
      level2 = 0;
    }
  }
  return level3;
}

/** Root-mean-square norm of each of `groups` parts of a row; part g sums over the runs from bounds[g] to bounds[g + 1].
 * The `passed` bytes behind the parts are copied. */
export function rmsNorm(out: usize, x: usize, weight: usize, width: usize, groups: i32, bounds: usize, eps: f32, passed: usize): void {
  for (let g: usize = 0; g < <usize>groups; g++) {
    const mean = sumOfSquares(x, load<usize>(bounds + (g << 2)), load<usize>(bounds + (g << 2) + 4)) / <f32>width;
    const inverse = <f32>1 / sqrt<f32>(mean + eps);
    const from = g * (width << 2);
    for (let i: usize = 0; i < width << 2; i += 4)
      store<f32>(out + from + i, load<f32>(x + from + i) * inverse * load<f32>(weight + i));
  }
  const normed = <usize>groups * (width << 2);
  memory.copy(out + normed, x + normed, passed);
}

/** Rotate the pairs (i, i + half) of `width` elements; the table row holds `half` cosines, then `half` sines. */
// @ts-ignore: decorator
@inline
function rotateHalves(out: usize, x: usize, width: usize, table: usize): void {
  const half = (width >> 1) << 2;
  let i: usize = 0;
  for (; i + 16 <= half; i += 16) {
    const a = v128.load(x + i), b = v128.load(x + half + i);
    const cos = v128.load(table + i), sin = v128.load(table + half + i);
    v128.store(out + i, f32x4.sub(mul(a, cos), mul(b, sin)));
    v128.store(out + half + i, add(mul(b, cos), mul(a, sin)));
  }
  for (; i < half; i += 4) {
    const a = load<f32>(x + i), b = load<f32>(x + half + i);
    const cos = load<f32>(table + i), sin = load<f32>(table + half + i);
    store<f32>(out + i, a * cos - b * sin);
    store<f32>(out + half + i, b * cos + a * sin);
  }
}

/** The same for the pairs (2i, 2i + 1). */
// @ts-ignore: decorator
@inline
function rotateNeighbours(out: usize, x: usize, width: usize, table: usize): void {
  const half = (width >> 1) << 2;
  for (let i: usize = 0; i < half; i += 4) {
    const a = load<f32>(x + 2 * i), b = load<f32>(x + 2 * i, 4);
    const cos = load<f32>(table + i), sin = load<f32>(table + half + i);
    store<f32>(out + 2 * i, a * cos - b * sin);
    store<f32>(out + 2 * i, b * cos + a * sin, 4);
  }
}

/** Rotate `width` elements from `from` on of each head and copy the others. */
export function rope(
  out: usize, x: usize, heads: i32, headDim: usize, table: usize, from: usize, width: usize, neighbours: bool,
): void {
  const headBytes = headDim << 2, first = from << 2;
  for (let h = 0; h < heads; h++) {
    if (width < headDim) memory.copy(out, x, headBytes);
    if (neighbours) rotateNeighbours(out + first, x + first, width, table);
    else rotateHalves(out + first, x + first, width, table);
    x += headBytes;
    out += headBytes;
  }
}

/** activation(gate) * up, or as the activation has it, `width` rounded up to whole vectors: rows are padded. */
export function glu(out: usize, gate: usize, up: usize, width: usize, activation: i32): void {
  const bytes = width << 2;
  if (activation == activationSilu) {
    for (let i: usize = 0; i < bytes; i += 16) v128.store(out + i, mul(silu4(v128.load(gate + i)), v128.load(up + i)));
  } else if (activation == activationClampedSilu) {
    for (let i: usize = 0; i < bytes; i += 16) v128.store(out + i, clampedSilu4(v128.load(gate + i), v128.load(up + i)));
  } else {
    for (let i: usize = 0; i < bytes; i += 16) v128.store(out + i, mul(geluTanh4(v128.load(gate + i)), v128.load(up + i)));
  }
}

export function scaleRow(out: usize, x: usize, width: usize, factor: f32): void {
  const s = f32x4.splat(factor);
  for (let i: usize = 0; i < width << 2; i += 16) v128.store(out + i, mul(v128.load(x + i), s));
}

/** cap * tanh(x / cap) of a row, given 1 / cap. */
export function softcapRow(out: usize, x: usize, width: usize, cap: f32, inverse: f32): void {
  const c = f32x4.splat(cap), s = f32x4.splat(inverse);
  for (let i: usize = 0; i < width << 2; i += 16) v128.store(out + i, softcap4(v128.load(x + i), c, s));
}

export function addRows(out: usize, a: usize, b: usize, width: usize): void {
  for (let i: usize = 0; i < width << 2; i += 16) v128.store(out + i, add(v128.load(a + i), v128.load(b + i)));
}
