// The reduction tree as a list of runs. A chain adds partial results tile after tile; when a run ends, its
// code says how many accumulator levels to fold: 1 chain -> group, 2 group -> chain of groups, 3 that -> sum.
// Every accumulator starts at +0, to which adding a value changes nothing (and a sum is never -0), so tiles
// past the end can be left out. The order itself is defined in wafer/reduction.ts.
import { runBytes, runDescending, runLevelMask } from './layout';

let cursor: usize = 0;
let begin: usize = 0;
let tileLength: i32 = 0;
/** The elements [low, high) to sum, and the parts that hold some of them. */
let low: i32 = 0;
let high: i32 = 0;
let lowPart: i32 = 0;
let highPart: i32 = 0;

function emit(element: i32, tiles: i32, length: i32, code: i32): void {
  store<i32>(cursor, element);
  store<i32>(cursor, tiles, 4);
  store<i32>(cursor, length, 8);
  store<i32>(cursor, code, 12);
  cursor += runBytes;
}

/** The tiles of parts [from, to), all whole. */
function emitWhole(from: i32, to: i32, descending: bool): void {
  if (from >= to) return;
  if (descending) emit((to - 1) * tileLength, to - from, tileLength, runDescending);
  else emit(from * tileLength, to - from, tileLength, 0);
}

/** Parts [from, to) added one after the other; only the first and the last part in use can be short. */
function chain(from: i32, to: i32, descending: bool): void {
  from = max(from, lowPart);
  to = min(to, highPart);
  if (from >= to) return;
  const shortLow = from == lowPart && (low > from * tileLength || high < (from + 1) * tileLength);
  const shortHigh = to == highPart && high < to * tileLength && !(shortLow && to - from == 1);
  const wholeFrom = shortLow ? from + 1 : from;
  const wholeTo = shortHigh ? to - 1 : to;
  if (descending && shortHigh) emit((to - 1) * tileLength, 1, high - (to - 1) * tileLength, 0);
  if (!descending && shortLow) emit(low, 1, min(high, (from + 1) * tileLength) - low, 0);
  emitWhole(wholeFrom, wholeTo, descending);
  if (descending && shortLow) emit(low, 1, min(high, (from + 1) * tileLength) - low, 0);
  if (!descending && shortHigh) emit((to - 1) * tileLength, 1, high - (to - 1) * tileLength, 0);
  close(1);
}

/** Everything emitted so far is folded up to `level` before the next run starts. */
function close(level: i32): void {
  if (cursor == begin) return;
  const last = cursor - runBytes;
  const code = load<i32>(last, 12);
  if ((code & runLevelMask) < level) store<i32>(last, (code & ~runLevelMask) | level, 12);
}

function emitGroup(from: i32, count: i32): void {
  const root = count >> 1;
  chain(from + root, from + root + 1, false);
  chain(from, from + root, false);
  chain(from + root + 1, from + count, true);
}

/**
 * Write the runs of the elements [from, to) of a vector cut into `parts` tiles of `tile` elements to `out`.
 * @returns the address after the last run
 */
export function makeRuns(from: i32, to: i32, tile: i32, parts: i32, group: i32, out: usize): usize {
  cursor = out;
  begin = out;
  tileLength = tile;
  low = from;
  high = to;
  lowPart = from / tile;
  highPart = (to + tile - 1) / tile;
  const groups = (parts + group - 1) / group;
  const root = groups >> 1;
  emitGroup(root * group, min(group, parts - root * group));
  close(3);
  for (let g = 0; g < root; g++) {
    emitGroup(g * group, group);
    close(2);
  }
  close(3);
  for (let g = groups - 1; g > root; g--) {
    emitGroup(g * group, min(group, parts - g * group));
    close(2);
  }
  close(3);
  return cursor;
}
