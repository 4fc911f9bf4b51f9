// Attention over the paged cache. A cache block holds 16 tokens of one layer: for each KV head the keys as
// [headDim][16], so that lanes are positions, and the values as [16][headDim padded to 4], so that lanes are
// elements. Sums over positions follow the tree over the visible positions.
import { add, exp4, fromF16, mul, toF16 } from './arithmetic.as';
import { softcapRow } from './elementwise.as';
import { blockTokens, cacheFp16, cacheFp32, cacheInt8, runBytes, runDescending, runLevelMask } from './layout';
import { largest, quantize4, rowInverse, rowScale } from './linear-int8.as';

// @ts-ignore: decorator
@inline
function padded(headDim: usize): usize {
  return (headDim + 3) & ~3;
}

/** Address of the block that holds `position`. */
// @ts-ignore: decorator
@inline
function blockOf(table: usize, position: i32, cache: usize, blockBytes: usize): usize {
  return cache + load<usize>(table + ((position >> 4) << 2)) * blockBytes;
}

/** Largest finite IEEE half. */
const largestHalf: f32 = 65504;

/** An element as the cache keeps it; `inverse` and `scale` are those of its head, for int8. */
// @ts-ignore: decorator
@inline
function kept(x: f32, type: i32, inverse: f32, scale: f32): f32 {
  if (type == cacheFp32) return x;
  if (type == cacheFp16) return fromF16(toF16(max(-largestHalf, min(largestHalf, x))));
  return <f32>i32x4.extract_lane(quantize4(f32x4.splat(x), f32x4.splat(inverse)), 0) * scale;
}

/** Put one token's keys and values into the cache, or its keys alone. What is kept is widened again: the executor has room. */
export function cacheRow(
  k: usize, v: usize, kvHeads: i32, headDim: usize, cache: usize, blockBytes: usize, table: usize, position: i32,
  keysOnly: bool, type: i32,
): void {
  const block = blockOf(table, position, cache, blockBytes);
  const slot = <usize>(position & (blockTokens - 1));
  const valueBytes = padded(headDim) << 2;
  let key = block + (slot << 2);
  let value = block + <usize>kvHeads * (headDim << 6) + slot * valueBytes;
  for (let h = 0; h < kvHeads; h++) {
    let most: f32 = type == cacheInt8 ? largest(k, headDim) : 0;
    let inverse = rowInverse(most), scale = rowScale(most);
    for (let d: usize = 0; d < headDim; d++) store<f32>(key + (d << 6), kept(load<f32>(k + (d << 2)), type, inverse, scale));
    k += headDim << 2;
    key += headDim << 6;
    if (keysOnly) continue;
    most = type == cacheInt8 ? largest(v, headDim) : 0;
    inverse = rowInverse(most), scale = rowScale(most);
    for (let d: usize = 0; d < headDim; d++) store<f32>(value + (d << 2), kept(load<f32>(v + (d << 2)), type, inverse, scale));
    for (let d = headDim << 2; d < valueBytes; d += 4) store<f32>(value + d, 0);
    v += headDim << 2;
    value += valueBytes << 4;
  }
}

/** Fold `vectors` chains at the end of a run; a level holds `vectors` of them. */
// @ts-ignore: decorator
@inline
function fold(acc: usize, vectors: usize, level: i32, chain: v128): void {
  v128.store(acc, add(v128.load(acc), chain));
  while (level > 1) {
    const next = acc + (vectors << 4);
    v128.store(next, add(v128.load(next), v128.load(acc)));
    v128.store(acc, f32x4.splat(0));
    acc = next;
    level--;
  }
}

/**
 * One head of a matrix for each head: scores of 16 outputs at a time, whose weights lie as the keys of a block do. `x` and
 * `weights` are where element 0 of what the runs count would lie; `result` has room for 16 elements.
 */
export function headOutputs(
  out: usize, x: usize, k: usize, n: usize, weights: usize, runs: usize, runsEnd: usize, result: usize, acc: usize,
): void {
  for (let o: usize = 0; o < n; o += 16) {
    scoreBlock(result, x, weights, runs, runsEnd, 1, acc);
    memory.copy(out + (o << 2), result, min(n - o, 16) << 2);
    weights += k << 6;
  }
}

/** Vectors that the scores of one block of positions keep, and of two. */
const blockVectors: usize = 4;
const twoBlockVectors: usize = 8;

/**
 * scale * (q . key) for the 16 positions of a block, or of two, whose scores lie after each other: eight sums in flight hide
 * the latency of addition. `q`, `keys` and `others` are where element 0 of the whole row would lie.
 */
// @ts-ignore: decorator
@inline
function scoreBlocks(
  out: usize, q: usize, keys: usize, others: usize, runs: usize, runsEnd: usize, scale: f32, acc: usize, two: bool,
): void {
  const vectors: usize = two ? twoBlockVectors : blockVectors;
  const zero = f32x4.splat(0);
  memory.fill(acc, 0, 3 * (vectors << 4));
  let a = zero, b = zero, c = zero, d = zero, e = zero, f = zero, g = zero, h = zero;
  for (let run = runs; run < runsEnd; run += runBytes) {
    const code = load<i32>(run, 12);
    const tileBytes = load<usize>(run, 8) << 2;
    const back: usize = code & runDescending ? tileBytes << 1 : 0;
    let tiles = load<i32>(run, 4);
    let at = load<usize>(run) << 2;
    do {
      let pa = zero, pb = zero, pc = zero, pd = zero, pe = zero, pf = zero, pg = zero, ph = zero;
      for (const end = at + tileBytes; at < end; at += 4) {
        const s = v128.load32_splat(q + at);
        const key = keys + (at << 4);
        pa = add(pa, mul(v128.load(key), s));
        pb = add(pb, mul(v128.load(key, 16), s));
        pc = add(pc, mul(v128.load(key, 32), s));
        pd = add(pd, mul(v128.load(key, 48), s));
        if (two) {
          const other = others + (at << 4);
          pe = add(pe, mul(v128.load(other), s));
          pf = add(pf, mul(v128.load(other, 16), s));
          pg = add(pg, mul(v128.load(other, 32), s));
          ph = add(ph, mul(v128.load(other, 48), s));
        }
      }
      a = add(a, pa);
      b = add(b, pb);
      c = add(c, pc);
      d = add(d, pd);
      if (two) e = add(e, pe), f = add(f, pf), g = add(g, pg), h = add(h, ph);
      at -= back;
    } while (--tiles);
    const level = code & runLevelMask;
    if (level == 0) continue;
    fold(acc, vectors, level, a);
    fold(acc + 16, vectors, level, b);
    fold(acc + 32, vectors, level, c);
    fold(acc + 48, vectors, level, d);
    if (two) {
      fold(acc + 64, vectors, level, e);
      fold(acc + 80, vectors, level, f);
      fold(acc + 96, vectors, level, g);
      fold(acc + 112, vectors, level, h);
    }
    a = zero, b = zero, c = zero, d = zero, e = zero, f = zero, g = zero, h = zero;
  }
  acc += 2 * (vectors << 4);
  const s = f32x4.splat(scale);
  for (let i: usize = 0; i < vectors << 4; i += 16) v128.store(out + i, mul(v128.load(acc + i), s));
}

function scoreBlock(out: usize, q: usize, keys: usize, runs: usize, runsEnd: usize, scale: f32, acc: usize): void {
  scoreBlocks(out, q, keys, 0, runs, runsEnd, scale, acc, false);
}

function scoreTwoBlocks(
  out: usize, q: usize, keys: usize, others: usize, runs: usize, runsEnd: usize, scale: f32, acc: usize,
): void {
  scoreBlocks(out, q, keys, others, runs, runsEnd, scale, acc, true);
}

/**
 * Largest of the scores and the sink, then exp(score - largest) in place; `count` is a multiple of 16, hidden scores are
 * -infinity.
 * @returns the term of the sink in every lane
 */
function softmaxTerms(scores: usize, count: i32, sink: f32): v128 {
  const end = scores + (<usize>count << 2);
  let most = f32x4.splat(sink);
  for (let at = scores; at < end; at += 16) most = f32x4.pmax(most, v128.load(at));
  most = f32x4.pmax(most, v128.shuffle<f32>(most, most, 2, 3, 0, 1));
  most = f32x4.pmax(most, v128.shuffle<f32>(most, most, 1, 0, 3, 2));
  for (let at = scores; at < end; at += 16) v128.store(at, exp4(f32x4.sub(v128.load(at), most)));
  return exp4(f32x4.sub(f32x4.splat(sink), most));
}

/** Vectors that a slice keeps: its elements, and the sum of the terms in every lane of the last. */
const wideVectors: usize = 9;
const sliceVectors: usize = 5;
const narrowVectors: usize = 2;

/**
 * Weighted values of 32 elements of a head, divided by the sum of the terms, where every tile is one position: the
 * chain itself. `rows` are the addresses of the values of each position.
 */
function weighWide(out: usize, terms: usize, runs: usize, runsEnd: usize, rows: usize, offset: usize, sink: v128, acc: usize): void {
  const zero = f32x4.splat(0);
  memory.fill(acc, 0, 3 * (wideVectors << 4));
  let c0 = zero, c1 = zero, c2 = zero, c3 = zero, c4 = zero, c5 = zero, c6 = zero, c7 = zero, sum = zero;
  for (let run = runs; run < runsEnd; run += runBytes) {
    const code = load<i32>(run, 12);
    const stride: usize = code & runDescending ? -4 : 4;
    let tiles = load<i32>(run, 4);
    let at = load<usize>(run) << 2;
    do {
      const v = load<usize>(rows + at) + offset;
      const s = v128.load32_splat(terms + at);
      c0 = add(c0, mul(v128.load(v), s));
      c1 = add(c1, mul(v128.load(v, 16), s));
      c2 = add(c2, mul(v128.load(v, 32), s));
      c3 = add(c3, mul(v128.load(v, 48), s));
      c4 = add(c4, mul(v128.load(v, 64), s));
      c5 = add(c5, mul(v128.load(v, 80), s));
      c6 = add(c6, mul(v128.load(v, 96), s));
      c7 = add(c7, mul(v128.load(v, 112), s));
      sum = add(sum, s);
      at += stride;
    } while (--tiles);
    const level = code & runLevelMask;
    if (level == 0) continue;
    fold(acc, wideVectors, level, c0);
    fold(acc + 16, wideVectors, level, c1);
    fold(acc + 32, wideVectors, level, c2);
    fold(acc + 48, wideVectors, level, c3);
    fold(acc + 64, wideVectors, level, c4);
    fold(acc + 80, wideVectors, level, c5);
    fold(acc + 96, wideVectors, level, c6);
    fold(acc + 112, wideVectors, level, c7);
    fold(acc + 128, wideVectors, level, sum);
    c0 = zero, c1 = zero, c2 = zero, c3 = zero, c4 = zero, c5 = zero, c6 = zero, c7 = zero, sum = zero;
  }
  acc += 2 * (wideVectors << 4);
  const divisor = add(v128.load(acc, 128), sink);
  for (let i: usize = 0; i < 128; i += 16) v128.store(out + i, f32x4.div(v128.load(acc + i), divisor));
}

/** Weighted values of 16 elements, for tiles of any length. */
function weighSlice(out: usize, terms: usize, runs: usize, runsEnd: usize, rows: usize, offset: usize, sink: v128, acc: usize): void {
  const zero = f32x4.splat(0);
  memory.fill(acc, 0, 3 * (sliceVectors << 4));
  let c0 = zero, c1 = zero, c2 = zero, c3 = zero, sum = zero;
  for (let run = runs; run < runsEnd; run += runBytes) {
    const code = load<i32>(run, 12);
    const tileBytes = load<usize>(run, 8) << 2;
    const back: usize = code & runDescending ? tileBytes << 1 : 0;
    let tiles = load<i32>(run, 4);
    let at = load<usize>(run) << 2;
    do {
      let p0 = zero, p1 = zero, p2 = zero, p3 = zero, part = zero;
      for (const end = at + tileBytes; at < end; at += 4) {
        const v = load<usize>(rows + at) + offset;
        const s = v128.load32_splat(terms + at);
        p0 = add(p0, mul(v128.load(v), s));
        p1 = add(p1, mul(v128.load(v, 16), s));
        p2 = add(p2, mul(v128.load(v, 32), s));
        p3 = add(p3, mul(v128.load(v, 48), s));
        part = add(part, s);
      }
      c0 = add(c0, p0);
      c1 = add(c1, p1);
      c2 = add(c2, p2);
      c3 = add(c3, p3);
      sum = add(sum, part);
      at -= back;
    } while (--tiles);
    const level = code & runLevelMask;
    if (level == 0) continue;
    fold(acc, sliceVectors, level, c0);
    fold(acc + 16, sliceVectors, level, c1);
    fold(acc + 32, sliceVectors, level, c2);
    fold(acc + 48, sliceVectors, level, c3);
    fold(acc + 64, sliceVectors, level, sum);
    c0 = zero, c1 = zero, c2 = zero, c3 = zero, sum = zero;
  }
  acc += 2 * (sliceVectors << 4);
  const divisor = add(v128.load(acc, 64), sink);
  for (let i: usize = 0; i < 64; i += 16) v128.store(out + i, f32x4.div(v128.load(acc + i), divisor));
}

/** Four elements at one position: of its values, or of its keys, which lie 16 positions apart. */
// @ts-ignore: decorator
@inline
function fourOf(row: usize, isKey: bool): v128 {
  if (!isKey) return v128.load(row);
  let v = v128.load32_zero(row);
  v = v128.load_lane<u32>(row + 64, v, 1);
  v = v128.load_lane<u32>(row + 128, v, 2);
  return v128.load_lane<u32>(row + 192, v, 3);
}

/** Weighted values of 4 elements. */
// @ts-ignore: decorator
@inline
function weighFour(
  out: usize, terms: usize, runs: usize, runsEnd: usize, rows: usize, offset: usize, sink: v128, acc: usize, isKey: bool,
): void {
  const zero = f32x4.splat(0);
  memory.fill(acc, 0, 3 * (narrowVectors << 4));
  let chain = zero, sum = zero;
  for (let run = runs; run < runsEnd; run += runBytes) {
    const code = load<i32>(run, 12);
    const tileBytes = load<usize>(run, 8) << 2;
    const back: usize = code & runDescending ? tileBytes << 1 : 0;
    let tiles = load<i32>(run, 4);
    let at = load<usize>(run) << 2;
    do {
      let partial = zero, part = zero;
      for (const end = at + tileBytes; at < end; at += 4) {
        const s = v128.load32_splat(terms + at);
        partial = add(partial, mul(fourOf(load<usize>(rows + at) + offset, isKey), s));
        part = add(part, s);
      }
      chain = add(chain, partial);
      sum = add(sum, part);
      at -= back;
    } while (--tiles);
    const level = code & runLevelMask;
    if (level == 0) continue;
    fold(acc, narrowVectors, level, chain);
    fold(acc + 16, narrowVectors, level, sum);
    chain = zero, sum = zero;
  }
  acc += 2 * (narrowVectors << 4);
  v128.store(out, f32x4.div(v128.load(acc), add(v128.load(acc, 16), sink)));
}

/** What is left of a head. */
function weighNarrow(out: usize, terms: usize, runs: usize, runsEnd: usize, rows: usize, offset: usize, sink: v128, acc: usize): void {
  weighFour(out, terms, runs, runsEnd, rows, offset, sink, acc, false);
}

/** Of values that are the first elements of the keys. */
function weighKeys(out: usize, terms: usize, runs: usize, runsEnd: usize, rows: usize, offset: usize, sink: v128, acc: usize): void {
  weighFour(out, terms, runs, runsEnd, rows, offset, sink, acc, true);
}

/** Addresses of element 0 of the keys of one KV head, which serve as values, at `length` positions from `first` on. */
export function listKeyRows(
  out: usize, table: usize, first: i32, length: i32, cache: usize, blockBytes: usize, keys: usize,
): void {
  for (let position = first; position < first + length; position++, out += 4)
    store<usize>(out, blockOf(table, position, cache, blockBytes) + keys + (<usize>(position & (blockTokens - 1)) << 2));
}

/** Addresses of the values of one KV head at `length` positions from `first` on. */
export function listValueRows(
  out: usize, table: usize, first: i32, length: i32, cache: usize, blockBytes: usize, values: usize, headDim: usize,
): void {
  const valueBytes = padded(headDim) << 2;
  for (let position = first; position < first + length; position++, out += 4) {
    const slot = <usize>(position & (blockTokens - 1));
    store<usize>(out, blockOf(table, position, cache, blockBytes) + values + slot * valueBytes);
  }
}

/**
 * One query head at `position`: sees the positions from `first` on. `keys` is the head's offset in a block, `channel`
 * its first element in a row of keys, `channels` the runs of its elements, `rows` come from `listValueRows`, or
 * from `listKeyRows` where the values are the first `latentDim` elements of the keys (0: they are not), `singles` says that every tile is one position, `sink` is a score without a value or -infinity, `scores` has room for the context rounded out to whole blocks, `cap` is 0 where
 * scores are not soft-capped, `inverse` 1 / cap.
 */
export function attendHead(
  out: usize, q: usize, headDim: usize, scale: f32, cap: f32, inverse: f32, table: usize, first: i32, position: i32, cache: usize,
  blockBytes: usize, keys: usize, channel: usize, channels: usize, channelsEnd: usize, rows: usize, runs: usize, runsEnd: usize, singles: bool, sink: f32, scores: usize,
  result: usize, acc: usize, latentDim: usize,
): void {
  const start = first & ~(blockTokens - 1);
  // The runs count elements from the start of the row.
  q -= channel << 2;
  keys -= channel << 6;
  let at = scores;
  let p = start;
  for (; p + blockTokens <= position; p += 2 * blockTokens, at += 2 * blockTokens * 4) {
    const one = blockOf(table, p, cache, blockBytes) + keys;
    scoreTwoBlocks(
      at, q, one, blockOf(table, p + blockTokens, cache, blockBytes) + keys, channels, channelsEnd, scale, acc,
    );
  }
  if (p <= position) {
    scoreBlock(at, q, blockOf(table, p, cache, blockBytes) + keys, channels, channelsEnd, scale, acc);
    at += blockTokens * 4;
  }
  if (cap != 0) softcapRow(scores, scores, (at - scores) >> 2, cap, inverse);
  // Positions outside the window and slots not yet written count as infinitely unlikely.
  for (let hidden = start; hidden < first; hidden++) store<f32>(scores + (<usize>(hidden - start) << 2), -Infinity);
  for (let hidden = scores + (<usize>(position - start + 1) << 2); hidden < at; hidden += 4) store<f32>(hidden, -Infinity);
  const sinkTerm = softmaxTerms(scores, <i32>((at - scores) >> 2), sink);

  const terms = scores + (<usize>(first - start) << 2);
  let d: usize = 0;
  if (latentDim != 0) {
    for (; d < latentDim; d += 4) weighKeys(result + (d << 2), terms, runs, runsEnd, rows, d << 6, sinkTerm, acc);
    memory.copy(out, result, latentDim << 2);
    return;
  }
  const valueBytes = padded(headDim) << 2;
  if (singles) for (; d + 128 <= valueBytes; d += 128) weighWide(result + d, terms, runs, runsEnd, rows, d, sinkTerm, acc);
  for (; d + 64 <= valueBytes; d += 64) weighSlice(result + d, terms, runs, runsEnd, rows, d, sinkTerm, acc);
  for (; d < valueBytes; d += 16) weighNarrow(result + d, terms, runs, runsEnd, rows, d, sinkTerm, acc);
  memory.copy(out, result, headDim << 2);
}
