// Linear layers in fp32. Lanes are output rows: a block holds 16 rows of the weight matrix, interleaved
// element by element in the order in which the tree adds them, so that the weights stream through once.
// Per tile the partial sums start at the first product; the chain they are added to starts at +0, so the
// result is that of a partial sum started at +0, zeros' signs included.
import { add, mul } from './arithmetic.as';
import { blockRows, formatBf16, formatF16, formatF32, runBytes, runLevelMask, tokenGroup } from './layout';

/** Of 8 interleaved bf16: the first four rows, the last four rows. */
// @ts-ignore: decorator
@inline
function bf16Low(w: v128): v128 {
  return i32x4.shl(w, 16);
}
// @ts-ignore: decorator
@inline
function bf16High(w: v128): v128 {
  return v128.and(w, i32x4.splat(0xffff0000));
}

/** A half in the upper 16 bits of each lane, widened exactly: shifted into place, exponent rebased. */
// @ts-ignore: decorator
@inline
function widenHalf(upper: v128): v128 {
  const rebase = f32x4.splat(reinterpret<f32>((112 + 127) << 23));
  return mul(v128.and(i32x4.shr_s(upper, 3), i32x4.splat(0x8fffe000)), rebase);
}

/** Bytes of one element of k in a block. */
// @ts-ignore: decorator
@inline
function step(format: i32): usize {
  return format == formatF32 ? 64 : 32;
}
/** Rows 4i .. 4i + 3 of the block for the element of k at `w`. */
// @ts-ignore: decorator
@inline
function rows(format: i32, w: usize, i: i32): v128 {
  if (format == formatF32) return v128.load(w + 16 * i);
  const pair = v128.load(w + 16 * (i >> 1));
  if (format == formatBf16) return i & 1 ? bf16High(pair) : bf16Low(pair);
  return widenHalf(i & 1 ? pair : i32x4.shl(pair, 16));
}

// @ts-ignore: decorator
@inline
function accumulate(at: usize, offset: usize, value: v128): void {
  v128.store(at + offset, add(v128.load(at + offset), value));
}

/** Fold 16 rows of one token: levels of 64 bytes. */
function foldVector(acc: usize, level: i32, c0: v128, c1: v128, c2: v128, c3: v128): void {
  const zero = f32x4.splat(0);
  let a0 = add(v128.load(acc), c0);
  let a1 = add(v128.load(acc, 16), c1);
  let a2 = add(v128.load(acc, 32), c2);
  let a3 = add(v128.load(acc, 48), c3);
  while (level > 1) {
    v128.store(acc, zero);
    v128.store(acc, zero, 16);
    v128.store(acc, zero, 32);
    v128.store(acc, zero, 48);
    acc += 64;
    a0 = add(v128.load(acc), a0);
    a1 = add(v128.load(acc, 16), a1);
    a2 = add(v128.load(acc, 32), a2);
    a3 = add(v128.load(acc, 48), a3);
    level--;
  }
  v128.store(acc, a0);
  v128.store(acc, a1, 16);
  v128.store(acc, a2, 32);
  v128.store(acc, a3, 48);
}

/** One token times the row blocks [from, to). */
// @ts-ignore: decorator
@inline
function vectorTimesBlocks(
  format: i32, weights: usize, xs: usize, k: usize, runs: usize, runsEnd: usize,
  from: i32, to: i32, out: usize, bias: usize, acc: usize,
): void {
  const zero = f32x4.splat(0);
  let w = weights + <usize>from * k * step(format);
  for (let block = from; block < to; block++) {
    let x = xs;
    let c0 = zero, c1 = zero, c2 = zero, c3 = zero;
    memory.fill(acc, 0, 192);
    for (let run = runs; run < runsEnd; run += runBytes) {
      let tiles = load<i32>(run, 4);
      const tileBytes = load<usize>(run, 8) << 2;
      const level = load<i32>(run, 12) & runLevelMask;
      do {
        const end = x + tileBytes;
        let s = v128.load32_splat(x);
        let p0 = mul(rows(format, w, 0), s), p1 = mul(rows(format, w, 1), s);
        let p2 = mul(rows(format, w, 2), s), p3 = mul(rows(format, w, 3), s);
        x += 4;
        w += step(format);
        while (x < end) {
          s = v128.load32_splat(x);
          p0 = add(p0, mul(rows(format, w, 0), s));
          p1 = add(p1, mul(rows(format, w, 1), s));
          p2 = add(p2, mul(rows(format, w, 2), s));
          p3 = add(p3, mul(rows(format, w, 3), s));
          x += 4;
          w += step(format);
        }
        c0 = add(c0, p0);
        c1 = add(c1, p1);
        c2 = add(c2, p2);
        c3 = add(c3, p3);
      } while (--tiles);
      if (level) {
        foldVector(acc, level, c0, c1, c2, c3);
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

/** Widen one block into two panels of 8 rows, fp32, [k][8] each. */
// @ts-ignore: decorator
@inline
function unpackBlock(format: i32, w: usize, k: usize, panel: usize): void {
  let low = panel;
  let high = panel + k * 32;
  for (let i: usize = 0; i < k; i++) {
    v128.store(low, rows(format, w, 0));
    v128.store(low, rows(format, w, 1), 16);
    v128.store(high, rows(format, w, 2));
    v128.store(high, rows(format, w, 3), 16);
    w += step(format);
    low += 32;
    high += 32;
  }
}

/** Fold 8 rows of 4 tokens: levels of 128 bytes. */
function foldPanel(acc: usize, level: i32): void {
  const zero = f32x4.splat(0);
  while (level > 0) {
    for (let i: usize = 0; i < 128; i += 32) {
      accumulate(acc, 128 + i, v128.load(acc + i));
      accumulate(acc, 144 + i, v128.load(acc + i + 16));
      v128.store(acc + i, zero);
      v128.store(acc + i, zero, 16);
    }
    acc += 128;
    level--;
  }
}

/** A run of tiles of one element: the chain itself, kept in registers. */
function chainOfProducts(acc: usize, x: usize, w: usize, tiles: i32): void {
  let c0 = v128.load(acc), c1 = v128.load(acc, 16), c2 = v128.load(acc, 32), c3 = v128.load(acc, 48);
  let c4 = v128.load(acc, 64), c5 = v128.load(acc, 80), c6 = v128.load(acc, 96), c7 = v128.load(acc, 112);
  do {
    const a = v128.load(w), b = v128.load(w, 16);
    let s = v128.load32_splat(x);
    c0 = add(c0, mul(a, s));
    c1 = add(c1, mul(b, s));
    s = v128.load32_splat(x, 4);
    c2 = add(c2, mul(a, s));
    c3 = add(c3, mul(b, s));
    s = v128.load32_splat(x, 8);
    c4 = add(c4, mul(a, s));
    c5 = add(c5, mul(b, s));
    s = v128.load32_splat(x, 12);
    c6 = add(c6, mul(a, s));
    c7 = add(c7, mul(b, s));
    x += 16;
    w += 32;
  } while (--tiles);
  v128.store(acc, c0);
  v128.store(acc, c1, 16);
  v128.store(acc, c2, 32);
  v128.store(acc, c3, 48);
  v128.store(acc, c4, 64);
  v128.store(acc, c5, 80);
  v128.store(acc, c6, 96);
  v128.store(acc, c7, 112);
}

/** Four tokens, [k][4], times a panel of 8 rows; the sums are left at level 3 of `acc`. */
function groupTimesPanel(panel: usize, x: usize, runs: usize, runsEnd: usize, acc: usize): void {
  let w = panel;
  memory.fill(acc, 0, 512);
  for (let run = runs; run < runsEnd; run += runBytes) {
    let tiles = load<i32>(run, 4);
    const tile = load<usize>(run, 8);
    const level = load<i32>(run, 12) & runLevelMask;
    if (tile == 1) {
      chainOfProducts(acc, x, w, tiles);
      x += <usize>tiles << 4;
      w += <usize>tiles << 5;
    } else {
      const tileBytes = tile << 4;
      // Not unrolled by tile length: the register allocator then spills, and it gets slower.
      do {
        const end = x + tileBytes;
        let a = v128.load(w), b = v128.load(w, 16), s = v128.load32_splat(x);
        let p0 = mul(a, s), p1 = mul(b, s);
        s = v128.load32_splat(x, 4);
        let p2 = mul(a, s), p3 = mul(b, s);
        s = v128.load32_splat(x, 8);
        let p4 = mul(a, s), p5 = mul(b, s);
        s = v128.load32_splat(x, 12);
        let p6 = mul(a, s), p7 = mul(b, s);
        x += 16;
        w += 32;
        while (x < end) {
          a = v128.load(w), b = v128.load(w, 16), s = v128.load32_splat(x);
          p0 = add(p0, mul(a, s));
          p1 = add(p1, mul(b, s));
          s = v128.load32_splat(x, 4);
          p2 = add(p2, mul(a, s));
          p3 = add(p3, mul(b, s));
          s = v128.load32_splat(x, 8);
          p4 = add(p4, mul(a, s));
          p5 = add(p5, mul(b, s));
          s = v128.load32_splat(x, 12);
          p6 = add(p6, mul(a, s));
          p7 = add(p7, mul(b, s));
          x += 16;
          w += 32;
        }
        accumulate(acc, 0, p0);
        accumulate(acc, 16, p1);
        accumulate(acc, 32, p2);
        accumulate(acc, 48, p3);
        accumulate(acc, 64, p4);
        accumulate(acc, 80, p5);
        accumulate(acc, 96, p6);
        accumulate(acc, 112, p7);
      } while (--tiles);
    }
    if (level) foldPanel(acc, level);
  }
}

/** Groups of four tokens times the row blocks [from, to). */
function groupsTimesBlocks(
  format: i32, weights: usize, xs: usize, groups: i32, k: usize, runs: usize, runsEnd: usize,
  from: i32, to: i32, out: usize, stride: usize, bias: usize, acc: usize, panel: usize,
): void {
  for (let block = from; block < to; block++) {
    const w = weights + <usize>block * k * step(format);
    if (format == formatF32) unpackBlock(formatF32, w, k, panel);
    else if (format == formatBf16) unpackBlock(formatBf16, w, k, panel);
    else unpackBlock(formatF16, w, k, panel);
    for (let half: usize = 0; half < 2; half++) {
      const offset = <usize>block * 64 + half * 32;
      for (let g = 0; g < groups; g++) {
        groupTimesPanel(panel + half * (k << 5), xs + <usize>g * (k << 4), runs, runsEnd, acc);
        for (let token: usize = 0; token < <usize>tokenGroup; token++) {
          let y0 = v128.load(acc + 384 + token * 32);
          let y1 = v128.load(acc + 400 + token * 32);
          if (bias) {
            y0 = add(y0, v128.load(bias + offset));
            y1 = add(y1, v128.load(bias + offset + 16));
          }
          const y = out + (<usize>g * tokenGroup + token) * stride + offset;
          v128.store(y, y0);
          v128.store(y, y1, 16);
        }
      }
    }
  }
}

/** `tokens` packed tokens times the row blocks [from, to); see `opPack` for the layout of `xs`. */
export function linear(
  format: i32, weights: usize, xs: usize, tokens: i32, k: usize, runs: usize, runsEnd: usize,
  from: i32, to: i32, out: usize, stride: usize, bias: usize, acc: usize, panel: usize,
): void {
  if (tokens > 1) {
    const groups = (tokens + tokenGroup - 1) / tokenGroup;
    groupsTimesBlocks(format, weights, xs, groups, k, runs, runsEnd, from, to, out, stride, bias, acc, panel);
  } else if (format == formatF32) vectorTimesBlocks(formatF32, weights, xs, k, runs, runsEnd, from, to, out, bias, acc);
  else if (format == formatBf16) vectorTimesBlocks(formatBf16, weights, xs, k, runs, runsEnd, from, to, out, bias, acc);
  else vectorTimesBlocks(formatF16, weights, xs, k, runs, runsEnd, from, to, out, bias, acc);
}

/**
 * Rows of one input, gathered into the order in which the tree adds: [k] for one token; else groups of four
 * tokens, [k][4], the last padded with zeros. Writes the groups [from, to).
 */
export function packRows(out: usize, k: usize, input: usize, stride: usize, order: usize, tokens: i32, from: i32, to: i32): void {
  if (tokens == 1) {
    for (let i: usize = 0; i < k; i++) store<f32>(out + (i << 2), load<f32>(input + (load<usize>(order + (i << 2)) << 2)));
    return;
  }
  for (let g = from; g < to; g++) {
    const at = out + <usize>g * (k << 4);
    for (let t: usize = 0; t < <usize>tokenGroup; t++) {
      const token = g * tokenGroup + <i32>t;
      const row = input + <usize>token * stride;
      let y = at + (t << 2);
      if (token < tokens) {
        for (let i: usize = 0; i < k; i++, y += 16) store<f32>(y, load<f32>(row + (load<usize>(order + (i << 2)) << 2)));
      } else {
        for (let i: usize = 0; i < k; i++, y += 16) store<f32>(y, 0);
      }
    }
  }
}
