// Linear layers in fp32. Lanes are output rows: a block holds 16 rows of the weight matrix, interleaved
// element by element in the order in which the tree adds them, so that the weights stream through once.
// Per tile the partial sums start at the first product; the chain they are added to starts at +0, so the
// result is that of a partial sum started at +0, zeros' signs included.
import { add, kept, mul } from './arithmetic.as';
import { blockRows, formatBf16, formatF16, formatF32, pairAccumulatorBytes, runBytes, runLevelMask, tokenPair } from './layout';
import { unpackScaled, vectorTimesScaled } from './linear-scaled.as';

// The format of a kernel is a type parameter, so that each format gets a function of its own: f32 for fp32, u16
// for bfloat16, i16 for IEEE half. (A format passed as a constant is folded back into one function that tests it.)

// @ts-ignore: decorator
@inline
function isFp32<F>(): bool {
  return isFloat<F>();
}
// @ts-ignore: decorator
@inline
function isBf16<F>(): bool {
  return !isFloat<F>() && !isSigned<F>();
}
/** Bytes of one element of k in a block. */
// @ts-ignore: decorator
@inline
function step<F>(): usize {
  return isFloat<F>() ? 64 : 32;
}
/** The bits of a 16-bit format that stay when its upper element of a lane is widened. */
// @ts-ignore: decorator
@inline
function upperBits<F>(any: usize): v128 {
  return kept(i32x4.splat(isBf16<F>() ? 0xffff0000 : 0x8fffe000), any);
}
/** 2 to the difference of the biases of a half's exponent and an fp32's. */
// @ts-ignore: decorator
@inline
function rebaseOf(any: usize): v128 {
  return kept(f32x4.splat(reinterpret<f32>((112 + 127) << 23)), any);
}
/** Upper elements of 8 interleaved ones, widened exactly; a half is shifted into place and its exponent rebased. */
// @ts-ignore: decorator
@inline
function upper<F>(w: v128, bits: v128, rebase: v128): v128 {
  return isBf16<F>() ? v128.and(w, bits) : mul(v128.and(i32x4.shr_s(w, 3), bits), rebase);
}
// @ts-ignore: decorator
@inline
function lower<F>(w: v128, bits: v128, rebase: v128): v128 {
  return isBf16<F>() ? i32x4.shl(w, 16) : upper<F>(i32x4.shl(w, 16), bits, rebase);
}
// The four vectors of a block's element of k at `w`, from its first 32 bytes `a` and `b`, loaded once: that is all
// of a 16-bit format: rows 0 to 7 are the lower elements of its lanes, so that neighbours are widened alike.
// @ts-ignore: decorator
@inline
function rows0<F>(a: v128, bits: v128, rebase: v128): v128 {
  return isFp32<F>() ? a : lower<F>(a, bits, rebase);
}
// @ts-ignore: decorator
@inline
function rows1<F>(b: v128, bits: v128, rebase: v128): v128 {
  return isFp32<F>() ? b : lower<F>(b, bits, rebase);
}
// @ts-ignore: decorator
@inline
function rows2<F>(a: v128, w: usize, bits: v128, rebase: v128): v128 {
  return isFp32<F>() ? v128.load(w, 32) : upper<F>(a, bits, rebase);
}
// @ts-ignore: decorator
@inline
function rows3<F>(b: v128, w: usize, bits: v128, rebase: v128): v128 {
  return isFp32<F>() ? v128.load(w, 48) : upper<F>(b, bits, rebase);
}

/** Fold four vectors of chains: into the first level at `acc`, and from there into as many more as `level` says. */
// @ts-ignore: decorator
@inline
export function fold(acc: usize, level: i32, c0: v128, c1: v128, c2: v128, c3: v128): void {
  const y0 = add(v128.load(acc), c0), y1 = add(v128.load(acc, 16), c1);
  const y2 = add(v128.load(acc, 32), c2), y3 = add(v128.load(acc, 48), c3);
  v128.store(acc, y0);
  v128.store(acc, y1, 16);
  v128.store(acc, y2, 32);
  v128.store(acc, y3, 48);
  if (level > 1) foldOn(acc, level);
}

/** Levels are 64 bytes; each is added to the next and starts again at 0. */
function foldOn(acc: usize, level: i32): void {
  const zero = f32x4.splat(0);
  do {
    v128.store(acc, add(v128.load(acc, 64), v128.load(acc)), 64);
    v128.store(acc, add(v128.load(acc, 80), v128.load(acc, 16)), 80);
    v128.store(acc, add(v128.load(acc, 96), v128.load(acc, 32)), 96);
    v128.store(acc, add(v128.load(acc, 112), v128.load(acc, 48)), 112);
    v128.store(acc, zero);
    v128.store(acc, zero, 16);
    v128.store(acc, zero, 32);
    v128.store(acc, zero, 48);
    acc += 64;
  } while (--level > 1);
}

/** Zero the three levels. */
// @ts-ignore: decorator
@inline
export function clear(acc: usize): void {
  const zero = f32x4.splat(0);
  for (let end = acc + 192; acc < end; acc += 64) {
    v128.store(acc, zero);
    v128.store(acc, zero, 16);
    v128.store(acc, zero, 32);
    v128.store(acc, zero, 48);
  }
}

/** Bytes of the three levels of a block's sums. */
const blockSums: usize = 192;

/**
 * One token times the row blocks [from, to), as two streams, tile by tile in turn: the halves of the blocks. Two hide more of
 * memory's latency than one, if they are long. Of an odd number of blocks the middle one is in both.
 */
function vectorTimesBlocks<F>(
  weights: usize, xs: usize, k: usize, runs: usize, runsEnd: usize,
  from: i32, to: i32, out: usize, bias: usize, acc: usize,
): void {
  const zero = f32x4.splat(0);
  const bits = upperBits<F>(xs), rebase = rebaseOf(xs);
  const rounds = (to - from + 1) >> 1;
  let v = weights + <usize>from * k * step<F>();
  let w = weights + <usize>(to - rounds) * k * step<F>();
  for (let round = 0; round < rounds; round++) {
    let x = xs;
    let c0 = zero, c1 = zero, c2 = zero, c3 = zero, d0 = zero, d1 = zero, d2 = zero, d3 = zero;
    clear(acc);
    clear(acc + blockSums);
    for (let run = runs; run < runsEnd; run += runBytes) {
      let tiles = load<i32>(run, 4);
      const tileBytes = load<usize>(run, 8) << 2;
      const level = load<i32>(run, 12) & runLevelMask;
      do {
        const end = x + tileBytes;
        let y = x;
        let s: v128, a: v128, b: v128, p0: v128, p1: v128, p2: v128, p3: v128;
        s = v128.load32_splat(y), a = v128.load(v), b = v128.load(v, 16);
        p0 = mul(rows0<F>(a, bits, rebase), s), p1 = mul(rows1<F>(b, bits, rebase), s);
        p2 = mul(rows2<F>(a, v, bits, rebase), s), p3 = mul(rows3<F>(b, v, bits, rebase), s);
        y += 4;
        v += step<F>();
        while (y < end) {
          s = v128.load32_splat(y), a = v128.load(v), b = v128.load(v, 16);
          p0 = add(p0, mul(rows0<F>(a, bits, rebase), s));
          p1 = add(p1, mul(rows1<F>(b, bits, rebase), s));
          p2 = add(p2, mul(rows2<F>(a, v, bits, rebase), s));
          p3 = add(p3, mul(rows3<F>(b, v, bits, rebase), s));
          y += 4;
          v += step<F>();
        }
        c0 = add(c0, p0);
        c1 = add(c1, p1);
        c2 = add(c2, p2);
        c3 = add(c3, p3);
        s = v128.load32_splat(x), a = v128.load(w), b = v128.load(w, 16);
        p0 = mul(rows0<F>(a, bits, rebase), s), p1 = mul(rows1<F>(b, bits, rebase), s);
        p2 = mul(rows2<F>(a, w, bits, rebase), s), p3 = mul(rows3<F>(b, w, bits, rebase), s);
        x += 4;
        w += step<F>();
        while (x < end) {
          s = v128.load32_splat(x), a = v128.load(w), b = v128.load(w, 16);
          p0 = add(p0, mul(rows0<F>(a, bits, rebase), s));
          p1 = add(p1, mul(rows1<F>(b, bits, rebase), s));
          p2 = add(p2, mul(rows2<F>(a, w, bits, rebase), s));
          p3 = add(p3, mul(rows3<F>(b, w, bits, rebase), s));
          x += 4;
          w += step<F>();
        }
        d0 = add(d0, p0);
        d1 = add(d1, p1);
        d2 = add(d2, p2);
        d3 = add(d3, p3);
      } while (--tiles);
      if (level) {
        fold(acc, level, c0, c1, c2, c3);
        fold(acc + blockSums, level, d0, d1, d2, d3);
        c0 = zero, c1 = zero, c2 = zero, c3 = zero, d0 = zero, d1 = zero, d2 = zero, d3 = zero;
      }
    }
    finish(acc, from + round, out, bias);
    finish(acc + blockSums, to - rounds + round, out, bias);
  }
}

/** The sums of a block, plus its biases. */
function finish(acc: usize, block: i32, out: usize, bias: usize): void {
  const offset = <usize>block * (blockRows * 4);
  for (let i: usize = 0; i < 64; i += 16) {
    let y = v128.load(acc + 128 + i);
    if (bias) y = add(y, v128.load(bias + offset + i));
    v128.store(out + offset + i, y);
  }
}

/** Widen `k` elements of a block into two panels of 8 rows, fp32, [k][8] each. */
function unpackBlock<F>(w: usize, k: usize, panel: usize): void {
  const bits = upperBits<F>(w), rebase = rebaseOf(w);
  let low = panel;
  let high = panel + k * 32;
  for (let i: usize = 0; i < k; i++) {
    const a = v128.load(w), b = v128.load(w, 16);
    v128.store(low, rows0<F>(a, bits, rebase));
    v128.store(low, rows1<F>(b, bits, rebase), 16);
    v128.store(high, rows2<F>(a, w, bits, rebase));
    v128.store(high, rows3<F>(b, w, bits, rebase), 16);
    w += step<F>();
    low += 32;
    high += 32;
  }
}

/**
 * Two tokens, [k][2], times a panel of 8 rows, for some whole runs; the sums so far are at `acc`, of whose levels the last
 * has 8 rows of one token, then of the other. Two by eight is what the registers hold with the partial sums and the chains
 * in them; four by eight with the chains in memory, and loops unrolled by tile length, were slower.
 */
function pairTimesPanel(panel: usize, x: usize, runs: usize, runsEnd: usize, acc: usize): void {
  const zero = f32x4.splat(0);
  let w = panel;
  let c0 = zero, c1 = zero, c2 = zero, c3 = zero;
  for (let run = runs; run < runsEnd; run += runBytes) {
    let tiles = load<i32>(run, 4);
    const tileBytes = load<usize>(run, 8) << 3;
    const level = load<i32>(run, 12) & runLevelMask;
    if (tileBytes == 8) {
      do {
        const a = v128.load(w), b = v128.load(w, 16), s = v128.load32_splat(x), t = v128.load32_splat(x, 4);
        c0 = add(c0, mul(a, s));
        c1 = add(c1, mul(b, s));
        c2 = add(c2, mul(a, t));
        c3 = add(c3, mul(b, t));
        x += 8;
        w += 32;
      } while (--tiles);
    } else {
      do {
        const end = x + tileBytes;
        let a = v128.load(w), b = v128.load(w, 16), s = v128.load32_splat(x), t = v128.load32_splat(x, 4);
        let p0 = mul(a, s), p1 = mul(b, s), p2 = mul(a, t), p3 = mul(b, t);
        x += 8;
        w += 32;
        while (x < end) {
          a = v128.load(w), b = v128.load(w, 16), s = v128.load32_splat(x), t = v128.load32_splat(x, 4);
          p0 = add(p0, mul(a, s));
          p1 = add(p1, mul(b, s));
          p2 = add(p2, mul(a, t));
          p3 = add(p3, mul(b, t));
          x += 8;
          w += 32;
        }
        c0 = add(c0, p0);
        c1 = add(c1, p1);
        c2 = add(c2, p2);
        c3 = add(c3, p3);
      } while (--tiles);
    }
    if (level) {
      fold(acc, level, c0, c1, c2, c3);
      c0 = zero, c1 = zero, c2 = zero, c3 = zero;
    }
  }
}

/** Elements of k whose panels and two tokens stay in the first-level cache with the sums of many tokens. */
const panelElements: usize = 192;

/** The end of as many runs as have `panelElements` elements, or somewhat more: a chain may not be cut. */
function endOfPanel(run: usize, runsEnd: usize): usize {
  let elements: usize = 0;
  while (run < runsEnd) {
    elements += elementsOf(run);
    const isFolded = (load<i32>(run, 12) & runLevelMask) != 0;
    run += runBytes;
    if (isFolded && elements >= panelElements) break;
  }
  return run;
}
// @ts-ignore: decorator
@inline
function elementsOf(run: usize): usize {
  return load<usize>(run, 4) * load<usize>(run, 8);
}

/** Bytes to bring in at a time: they stay in the second-level cache. */
const touchBytes: usize = 131072;

/** Bytes that come from memory together. */
const lineBytes: usize = 64;

/**
 * Bring [at, end) into the caches: an unbroken stream comes from memory two to three times as fast as one that stops for
 * arithmetic. What it returns is of no use, but an engine may leave out loads that nothing uses.
 */
function touch(at: usize, end: usize): i32 {
  let any = 0;
  for (; at < end; at += lineBytes) any |= load<i32>(at);
  return any;
}

/**
 * Pairs of tokens times the row blocks [from, to). A block is widened a few runs at a time, so that what is widened is
 * still near when the last pair reads it; behind the panels lie the accumulators of each pair, for either panel.
 */
function pairsTimesBlocks(
  format: i32, weights: usize, xs: usize, tokens: i32, k: usize, runs: usize, runsEnd: usize,
  from: i32, to: i32, out: usize, stride: usize, bias: usize, panel: usize,
  scales: usize, scaleBytes: usize, offsets: usize,
): void {
  const pairs = <usize>((tokens + tokenPair - 1) / tokenPair);
  const accs = panel + k * (blockRows * 4);
  const isWide = format == formatF32 || format == formatBf16 || format == formatF16;
  const blockBytes = k * (format == formatF32 ? step<f32>() : step<u16>());
  const ahead = max(1, <i32>(touchBytes / blockBytes));
  for (let block = from; block < to; block++) {
    if (isWide && (block - from) % ahead == 0) {
      const first = weights + <usize>block * blockBytes;
      store<i32>(panel, touch(first, first + <usize>min(ahead, to - block) * blockBytes));
    }
    for (let i: usize = 0; i < 2 * pairs; i++) clear(accs + i * pairAccumulatorBytes);
    let element: usize = 0;
    for (let run = runs; run < runsEnd; ) {
      const end = endOfPanel(run, runsEnd);
      let count: usize = 0;
      for (let r = run; r < end; r += runBytes) count += elementsOf(r);
      const at = <usize>block * k + element;
      if (format == formatF32) unpackBlock<f32>(weights + at * step<f32>(), count, panel);
      else if (format == formatBf16) unpackBlock<u16>(weights + at * step<u16>(), count, panel);
      else if (format == formatF16) unpackBlock<i16>(weights + at * step<i16>(), count, panel);
      else unpackScaled(format, weights, at, count, panel, scales + <usize>block * scaleBytes, offsets + (element << 2));
      let acc = accs;
      for (let half: usize = 0; half < 2; half++) {
        let x = xs + element * (tokenPair * 4);
        for (let pair: usize = 0; pair < pairs; pair++) {
          pairTimesPanel(panel + half * (count << 5), x, run, end, acc);
          x += k * (tokenPair * 4);
          acc += pairAccumulatorBytes;
        }
      }
      element += count;
      run = end;
    }
    let acc = accs;
    for (let half: usize = 0; half < 2; half++) {
      const offset = <usize>block * 64 + half * 32;
      let b0 = f32x4.splat(0), b1 = b0;
      if (bias) b0 = v128.load(bias + offset), b1 = v128.load(bias + offset, 16);
      let y = out + offset;
      for (let pair: usize = 0; pair < pairs; pair++) {
        const next = y + stride;
        // Sums are never -0, so adding a bias of +0 changes nothing.
        v128.store(y, add(v128.load(acc, 128), b0));
        v128.store(y, add(v128.load(acc, 144), b1), 16);
        v128.store(next, add(v128.load(acc, 160), b0));
        v128.store(next, add(v128.load(acc, 176), b1), 16);
        y = next + stride;
        acc += pairAccumulatorBytes;
      }
    }
  }
}

/**
 * `tokens` packed tokens times the row blocks [from, to); see `opPack` for the layout of `xs`, and linear-scaled.as.ts for
 * scales.
 */
export function linear(
  format: i32, weights: usize, xs: usize, tokens: i32, k: usize, runs: usize, runsEnd: usize,
  from: i32, to: i32, out: usize, stride: usize, bias: usize, acc: usize, panel: usize,
  scales: usize, scaleBytes: usize, offsets: usize,
): void {
  if (tokens > 1) {
    pairsTimesBlocks(
      format, weights, xs, tokens, k, runs, runsEnd, from, to, out, stride, bias, panel, scales, scaleBytes, offsets,
    );
  } else if (format == formatF32) vectorTimesBlocks<f32>(weights, xs, k, runs, runsEnd, from, to, out, bias, acc);
  else if (format == formatBf16) vectorTimesBlocks<u16>(weights, xs, k, runs, runsEnd, from, to, out, bias, acc);
  else if (format == formatF16) vectorTimesBlocks<i16>(weights, xs, k, runs, runsEnd, from, to, out, bias, acc);
  else vectorTimesScaled(format, weights, xs, k, runs, runsEnd, from, to, out, bias, acc, scales, scaleBytes, offsets);
}

/**
 * Rows of one input, gathered into the order in which the tree adds: [k] for one token; else pairs of tokens,
 * [k][2], the last padded with zeros. Writes the pairs [from, to).
 */
export function packRows(out: usize, k: usize, input: usize, stride: usize, order: usize, tokens: i32, from: i32, to: i32): void {
  const end = order + (k << 2);
  if (tokens == 1) {
    for (let o = order; o < end; o += 4, out += 4) store<f32>(out, load<f32>(input + (load<usize>(o) << 2)));
    return;
  }
  for (let pair = from; pair < to; pair++) {
    const row = input + <usize>pair * tokenPair * stride;
    const other = pair * tokenPair + 1 < tokens ? row + stride : 0;
    let y = out + <usize>pair * (k << 3);
    for (let o = order; o < end; o += 4, y += 8) {
      const i = load<usize>(o) << 2;
      store<f32>(y, load<f32>(row + i));
      store<f32>(y, other ? load<f32>(other + i) : 0, 4);
    }
  }
}
