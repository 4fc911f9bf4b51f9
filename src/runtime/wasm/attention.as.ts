// Attention over the paged cache. A cache block holds 16 tokens of one layer: for each KV head the keys as
// [headDim][16], so that lanes are positions, and the values as [16][headDim padded to 4], so that lanes are
// elements. Sums over positions follow the tree over the visible positions.
import { add, exp4, mul } from './arithmetic.as';
import { blockTokens, runBytes, runDescending, runLevelMask } from './layout';

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

/** Put one token's keys and values into the cache. */
export function cacheRow(
  k: usize, v: usize, kvHeads: i32, headDim: usize, cache: usize, blockBytes: usize, table: usize, position: i32,
): void {
  const block = blockOf(table, position, cache, blockBytes);
  const slot = <usize>(position & (blockTokens - 1));
  const valueBytes = padded(headDim) << 2;
  let key = block + (slot << 2);
  let value = block + <usize>kvHeads * (headDim << 6) + slot * valueBytes;
  for (let h = 0; h < kvHeads; h++) {
    for (let d: usize = 0; d < headDim; d++) store<f32>(key + (d << 6), load<f32>(k + (d << 2)));
    memory.copy(value, v, headDim << 2);
    for (let d = headDim << 2; d < valueBytes; d += 4) store<f32>(value + d, 0);
    k += headDim << 2;
    v += headDim << 2;
    key += headDim << 6;
    value += valueBytes << 4;
  }
}

/** scale * (q . key) for the 16 positions of a block. */
function scoreBlock(out: usize, q: usize, keys: usize, headDim: usize, scale: f32): void {
  const zero = f32x4.splat(0);
  let a = zero, b = zero, c = zero, d = zero;
  const end = q + (headDim << 2);
  while (q < end) {
    const s = v128.load32_splat(q);
    a = add(a, mul(v128.load(keys), s));
    b = add(b, mul(v128.load(keys, 16), s));
    c = add(c, mul(v128.load(keys, 32), s));
    d = add(d, mul(v128.load(keys, 48), s));
    q += 4;
    keys += 64;
  }
  const s = f32x4.splat(scale);
  v128.store(out, mul(a, s));
  v128.store(out, mul(b, s), 16);
  v128.store(out, mul(c, s), 32);
  v128.store(out, mul(d, s), 48);
}

/** Largest score, then exp(score - largest) in place; `count` is a multiple of 16, hidden scores are -infinity. */
function softmaxTerms(scores: usize, count: i32): void {
  const end = scores + (<usize>count << 2);
  let most = f32x4.splat(-Infinity);
  for (let at = scores; at < end; at += 16) most = f32x4.pmax(most, v128.load(at));
  most = f32x4.pmax(most, v128.shuffle<f32>(most, most, 2, 3, 0, 1));
  most = f32x4.pmax(most, v128.shuffle<f32>(most, most, 1, 0, 3, 2));
  for (let at = scores; at < end; at += 16) v128.store(at, exp4(f32x4.sub(v128.load(at), most)));
}

/** Sum of the terms in the order of the runs; element i of the context is at scores + 4i. */
function sumTerms(scores: usize, runs: usize, runsEnd: usize): f32 {
  let chain: f32 = 0, level1: f32 = 0, level2: f32 = 0, level3: f32 = 0;
  for (let run = runs; run < runsEnd; run += runBytes) {
    let at = scores + (load<usize>(run) << 2);
    let tiles = load<i32>(run, 4);
    const tileBytes = load<usize>(run, 8) << 2;
    const code = load<i32>(run, 12);
    do {
      let partial: f32 = 0;
      for (let i: usize = 0; i < tileBytes; i += 4) partial += load<f32>(at + i);
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

// @ts-ignore: decorator
@inline
function fold(acc: usize, level: i32, c: v128): void {
  let a = add(v128.load(acc), c);
  while (level > 1) {
    v128.store(acc, f32x4.splat(0));
    acc += 16;
    a = add(v128.load(acc), a);
    level--;
  }
  v128.store(acc, a);
}

/** Weighted values of `wide ? 16 : 4` elements of a head, divided by `sum`, to out. `values` is the offset in a block. */
// @ts-ignore: decorator
@inline
function weighValues(
  wide: bool, out: usize, scores: usize, runs: usize, runsEnd: usize, table: usize, first: i32,
  cache: usize, blockBytes: usize, values: usize, valueBytes: usize, sum: f32, acc: usize,
): void {
  const zero = f32x4.splat(0);
  memory.fill(acc, 0, 192);
  let c0 = zero, c1 = zero, c2 = zero, c3 = zero;
  for (let run = runs; run < runsEnd; run += runBytes) {
    let start = load<i32>(run);
    let tiles = load<i32>(run, 4);
    const tile = load<i32>(run, 8);
    const code = load<i32>(run, 12);
    do {
      let p0 = zero, p1 = zero, p2 = zero, p3 = zero;
      for (let i = start; i < start + tile; i++) {
        const position = first + i;
        const v = blockOf(table, position, cache, blockBytes) + values + <usize>(position & (blockTokens - 1)) * valueBytes;
        const s = v128.load32_splat(scores + (<usize>i << 2));
        p0 = add(p0, mul(v128.load(v), s));
        if (wide) {
          p1 = add(p1, mul(v128.load(v, 16), s));
          p2 = add(p2, mul(v128.load(v, 32), s));
          p3 = add(p3, mul(v128.load(v, 48), s));
        }
      }
      c0 = add(c0, p0);
      if (wide) {
        c1 = add(c1, p1);
        c2 = add(c2, p2);
        c3 = add(c3, p3);
      }
      start = code & runDescending ? start - tile : start + tile;
    } while (--tiles);
    const level = code & runLevelMask;
    if (level == 0) continue;
    fold(acc, level, c0);
    c0 = zero;
    if (wide) {
      fold(acc + 48, level, c1);
      fold(acc + 96, level, c2);
      fold(acc + 144, level, c3);
      c1 = zero, c2 = zero, c3 = zero;
    }
  }
  const divisor = f32x4.splat(sum);
  v128.store(out, f32x4.div(v128.load(acc + 32), divisor));
  if (wide) {
    v128.store(out, f32x4.div(v128.load(acc + 80), divisor), 16);
    v128.store(out, f32x4.div(v128.load(acc + 128), divisor), 32);
    v128.store(out, f32x4.div(v128.load(acc + 176), divisor), 48);
  }
}

/**
 * One query head at `position`: sees the positions from `first` on. `keys` and `values` are offsets in a block;
 * `scores` holds a context rounded out to whole blocks, then one head.
 */
export function attendHead(
  out: usize, q: usize, headDim: usize, scale: f32, table: usize, first: i32, position: i32, cache: usize,
  blockBytes: usize, keys: usize, values: usize, runs: usize, runsEnd: usize, scores: usize, result: usize, acc: usize,
): void {
  const start = first & ~(blockTokens - 1);
  let at = scores;
  for (let p = start; p <= position; p += blockTokens) {
    scoreBlock(at, q, blockOf(table, p, cache, blockBytes) + keys, headDim, scale);
    at += blockTokens * 4;
  }
  // Positions outside the window and slots not yet written count as infinitely unlikely.
  for (let p = start; p < first; p++) store<f32>(scores + (<usize>(p - start) << 2), -Infinity);
  for (let hidden = scores + (<usize>(position - start + 1) << 2); hidden < at; hidden += 4) store<f32>(hidden, -Infinity);
  softmaxTerms(scores, <i32>((at - scores) >> 2));

  const terms = scores + (<usize>(first - start) << 2);
  const sum = sumTerms(terms, runs, runsEnd);
  const valueBytes = padded(headDim) << 2;
  let d: usize = 0;
  for (; d + 64 <= valueBytes; d += 64)
    weighValues(true, result + d, terms, runs, runsEnd, table, first, cache, blockBytes, values + d, valueBytes, sum, acc);
  for (; d < valueBytes; d += 16)
    weighValues(false, result + d, terms, runs, runsEnd, table, first, cache, blockBytes, values + d, valueBytes, sum, acc);
  memory.copy(out, result, headDim << 2);
}
