// The kernels' entry: threads that run passes over a list of instructions. Every thread runs the whole list;
// inside an instruction they take units of work from a shared counter, and a barrier ends it. No result depends
// on which thread computed what.
import { attendHead, cacheRow, headOutputs, listKeyRows, listValueRows } from './attention.as';
import { addRows, embed, glu, rmsNorm, rope, scaleRow, softcapRow } from './elementwise.as';
import {
  blockTokens, contextRunsOffset, ctlArrived, ctlBody, ctlBodyEnd, ctlDone, ctlEpilogue, ctlEpilogueEnd, ctlGeneration, ctlNext,
  ctlPanelOffset, ctlPhase, ctlRowPosition, ctlRows, ctlRowTable, ctlRowToken, ctlScoresOffset, ctlScratch, ctlScratchBytes,
  ctlSleepers, ctlStop, ctlThreads, ctlValueRowsOffset, ctlWanted, ctlWantedRow, groupBytes, groupHeader, instructionBytes, opAdd, opAttend,
  opCache, opEmbed, opGather, opGlu, opGluGroups, opGroup, opHeadLinear, opLinear, opLinearGroups, opLinearInt8, opLinearInt8Groups, opMix, opNorm,
  opPack, opPackGroups, opQuantize, opQuantizeGroups, opRope, opRoute, opScale, opSoftcap, opSpread, routeBytes, runListHeader, tokenGroup, tokenPair,
} from './layout';
import { groupRows, mixRow, route } from './experts.as';
import { linearInt8, quantizeRows } from './linear-int8.as';
import { linear, packRows } from './linear.as';
import { makeRuns } from './runs.as';

export { convert, packBlock, packBlockInt8 } from './pack.as';
export { packBlockFp8, packBlockInt4, unpackScaled, vectorTimesScaled } from './linear-scaled.as';
export { makeRuns } from './runs.as';
// Exported so that each stays a function of its own: the engine optimizes whole functions, from one call to the
// next, and what is inlined into a pass would be optimized a pass too late.
export { attendHead, cacheRow, headOutputs, listKeyRows, listValueRows } from './attention.as';
export { addRows, embed, glu, rmsNorm, rope, scaleRow, softcapRow } from './elementwise.as';
export { groupRows, mixRow, route } from './experts.as';
export { linearInt8, quantizeRows } from './linear-int8.as';
export { linear, packRows } from './linear.as';
import { clampedSilu4, exp4, geluTanh4, silu4, tanh4, toBf16, toE4m3, toF16 } from './arithmetic.as';

/** Polls of a shared word before a thread goes to sleep: some tens of microseconds, several barriers long. */
const spins: i32 = 20_000;

let threads: i32 = 1;
let scratch: usize = 0;
/** Next unit of work when there is one thread. */
let cursor: i32 = 0;

// @ts-ignore: decorator
@inline
function word(at: usize, index: usize): usize {
  return load<usize>(at + (index << 2));
}
// @ts-ignore: decorator
@inline
function int(at: usize, index: usize): i32 {
  return load<i32>(at + (index << 2));
}

/** Reserve `grain` units of the current instruction; the first of them. */
// @ts-ignore: decorator
@inline
function take(grain: i32): i32 {
  if (threads > 1) return atomic.add<i32>(ctlNext, grain);
  const from = cursor;
  cursor += grain;
  return from;
}

/** Wait for the others; the last to arrive resets the counter of work. */
function barrier(): void {
  cursor = 0;
  if (threads == 1) return;
  const phase = atomic.load<i32>(ctlPhase);
  if (atomic.add<i32>(ctlArrived, 1) == threads - 1) {
    atomic.store<i32>(ctlArrived, 0);
    atomic.store<i32>(ctlNext, 0);
    atomic.store<i32>(ctlPhase, phase + 1);
    if (atomic.load<i32>(ctlSleepers) != 0) atomic.notify(ctlPhase, threads);
    return;
  }
  for (let i = 0; i < spins; i++) if (atomic.load<i32>(ctlPhase) != phase) return;
  atomic.add<i32>(ctlSleepers, 1);
  while (atomic.load<i32>(ctlPhase) == phase) atomic.wait<i32>(ctlPhase, phase, -1);
  atomic.sub<i32>(ctlSleepers, 1);
}

/** The pass after `seen`, as soon as there is one. */
function nextPass(seen: i32): i32 {
  for (let i = 0; i < spins; i++) if (atomic.load<i32>(ctlGeneration) != seen) break;
  while (atomic.load<i32>(ctlGeneration) == seen) atomic.wait<i32>(ctlGeneration, seen, -1);
  return atomic.load<i32>(ctlGeneration);
}

/**
 * Wait for the pass after `seen` and run it as thread number `thread`.
 * @returns the number of the pass, or -1 when told to stop
 */
export function serve(thread: i32, seen: i32): i32 {
  threads = load<i32>(ctlThreads);
  scratch = load<usize>(ctlScratch) + <usize>thread * load<usize>(ctlScratchBytes);
  const pass = nextPass(seen);
  if (atomic.load<i32>(ctlStop)) return -1;
  const rows = load<i32>(ctlRows);
  const wanted = load<i32>(ctlWanted);
  if (rows > 0) runList(load<usize>(ctlBody), load<usize>(ctlBodyEnd), rows);
  if (wanted > 0) runList(load<usize>(ctlEpilogue), load<usize>(ctlEpilogueEnd), wanted);
  if (thread == 0) {
    atomic.store<i32>(ctlDone, pass);
    atomic.notify(ctlDone, 1);
  }
  return pass;
}

function runList(from: usize, to: usize, rows: i32): void {
  for (let at = from; at < to; at += instructionBytes) {
    run(at, rows);
    barrier();
  }
}

function run(at: usize, rows: i32): void {
  const op = int(at, 0);
  const out = word(at, 1), stride = word(at, 2);
  switch (op) {
    case opLinear: {
      const blocks = int(at, 9), grain = grainOf(at, rows);
      for (let from = take(grain); from < blocks; from = take(grain))
        linear(
          int(at, 6), word(at, 5), word(at, 3), rows, word(at, 4), word(at, 7) + runListHeader, load<usize>(word(at, 7)), from,
          min(from + grain, blocks),
          out, stride, word(at, 10), scratch, scratch + load<usize>(ctlPanelOffset), word(at, 13), word(at, 15), word(at, 16),
        );
      break;
    }
    case opLinearInt8: {
      const blocks = int(at, 9), grain = grainOf(at, rows);
      for (let from = take(grain); from < blocks; from = take(grain))
        linearInt8(
          word(at, 5), word(at, 3), rows, word(at, 4), word(at, 6), word(at, 7), from, min(from + grain, blocks),
          out, stride, word(at, 10),
        );
      break;
    }
    case opPack: {
      const pairs = (rows + tokenPair - 1) / tokenPair;
      for (let pair = take(1); pair < pairs; pair = take(1))
        packRows(out, stride, word(at, 3), word(at, 4), word(at, 5), rows, pair, pair + 1);
      break;
    }
    case opQuantize: {
      const groups = (rows + tokenGroup - 1) / tokenGroup;
      for (let g = take(1); g < groups; g = take(1))
        quantizeRows(out, stride, word(at, 3), word(at, 4), word(at, 5), word(at, 6), rows, g, g + 1);
      break;
    }
    case opHeadLinear:
      headLinear(at, rows);
      break;
    case opAttend:
      attend(at, rows);
      break;
    case opGroup:
      if (take(1) == 0)
        groupRows(
          out, word(at, 3), rows, int(at, 4), int(at, 5), word(at, 6), word(at, 7), scratch + load<usize>(ctlPanelOffset),
        );
      break;
    case opSpread:
    case opGluGroups:
      runPlaces(op, at);
      break;
    case opPackGroups:
    case opQuantizeGroups:
    case opLinearGroups:
    case opLinearInt8Groups:
      runGroups(op, at);
      break;
    default:
      for (let row = take(1); row < rows; row = take(1)) runRow(op, at, row, out + <usize>row * stride);
  }
}

/** Blocks of a matrix that a thread takes at a time: for one token, which waits for memory, its whole share, as long streams are fast. */
// @ts-ignore: decorator
@inline
function grainOf(at: usize, rows: i32): i32 {
  return rows == 1 || threads == 1 ? (int(at, 9) + threads - 1) / threads : int(at, 11);
}

/** Ops on every place of a grouping. */
function runPlaces(op: i32, at: usize): void {
  const places = int(word(at, 12), 1);
  for (let place = take(1); place < places; place = take(1)) {
    const out = word(at, 1) + <usize>place * word(at, 2);
    if (op == opGluGroups) {
      glu(out, word(at, 3) + <usize>place * word(at, 4), word(at, 5) + <usize>place * word(at, 6), word(at, 7), int(at, 8));
      continue;
    }
    const row = int(word(at, 6), place);
    if (row >= 0) memory.copy(out, word(at, 3) + <usize>row * word(at, 4), word(at, 5));
  }
}

/** Ops on the rows of each group, with the weights of its expert; a unit is a piece of a group's matrix, or a group. */
function runGroups(op: i32, at: usize): void {
  const groups = word(at, 12), blocks = int(at, 9), grain = int(at, 11);
  const isLinear = op == opLinearGroups || op == opLinearInt8Groups;
  const pieces = isLinear ? (blocks + grain - 1) / grain : 1;
  const units = int(groups, 0) * pieces;
  for (let unit = take(1); unit < units; unit = take(1)) {
    const group = groups + groupHeader + <usize>(unit / pieces) * groupBytes;
    const first = word(group, 1), count = int(group, 2);
    const from = (unit % pieces) * grain, to = min(from + grain, blocks);
    const out = word(at, 1), width = word(at, 2), input = word(at, 3);
    const weights = word(at, 5) + word(group, 0) * word(at, 8);
    const outputs = word(group, 0) * (<usize>blocks << 6);
    const bias = word(at, 10) ? word(at, 10) + outputs : 0;
    switch (op) {
      case opPackGroups:
        packRows(
          out + first * (width << 2), width, input + first * word(at, 4), word(at, 4), word(at, 5), count, 0,
          (count + tokenPair - 1) / tokenPair,
        );
        break;
      case opQuantizeGroups:
        quantizeRows(
          out + first * (width << 2), width, input + first * word(at, 4), word(at, 4), word(at, 5), word(at, 6) + (first << 2),
          count, 0, (count + tokenGroup - 1) / tokenGroup,
        );
        break;
      case opLinearGroups:
        linear(
          int(at, 6), weights, input + first * (word(at, 4) << 2), count, word(at, 4), word(at, 7) + runListHeader,
          load<usize>(word(at, 7)), from, to, out + first * width, width, bias, scratch, scratch + load<usize>(ctlPanelOffset),
          word(at, 13) + word(group, 0) * word(at, 14), word(at, 15), word(at, 16),
        );
        break;
      default:
        linearInt8(
          weights, input + first * (word(at, 4) << 2), count, word(at, 4), word(at, 6) + outputs, word(at, 7) + (first << 2),
          from, to, out + first * width, width, bias,
        );
    }
  }
}

/** Ops that treat rows one by one. */
function runRow(op: i32, at: usize, row: usize, out: usize): void {
  const input = word(at, 3) + row * word(at, 4);
  switch (op) {
    case opEmbed:
      embed(out, int(load<usize>(ctlRowToken), row), word(at, 3), int(at, 4), word(at, 5), word(at, 6));
      break;
    case opNorm:
      rmsNorm(out, input, word(at, 5), word(at, 6), int(at, 7), word(at, 8), load<f32>(at + 36), word(at, 10));
      break;
    case opRope: {
      const width = word(at, 9);
      rope(
        out, input, int(at, 5), word(at, 6), word(at, 7) + word(load<usize>(ctlRowPosition), row) * (width << 2), word(at, 8),
        width, int(at, 10) != 0,
      );
      break;
    }
    case opCache:
      cacheRow(
        out, input, int(at, 5), word(at, 6), word(at, 7), word(at, 8), word(load<usize>(ctlRowTable), row),
        int(load<usize>(ctlRowPosition), row), int(at, 9) != 0, int(at, 10),
      );
      break;
    case opGlu:
      glu(out, input, word(at, 5) + row * word(at, 6), word(at, 7), int(at, 8));
      break;
    case opAdd:
      addRows(out, input, word(at, 5) + row * word(at, 6), word(at, 7));
      break;
    case opScale:
      scaleRow(out, input, word(at, 5), load<f32>(at + 24));
      break;
    case opSoftcap:
      softcapRow(out, input, word(at, 5), load<f32>(at + 24), load<f32>(at + 28));
      break;
    case opRoute:
      route(
        out, input, int(at, 5), int(at, 6), int(at, 7), int(at, 8) != 0, load<f32>(at + 36), word(at, 10), int(at, 11), int(at, 12),
        scratch + load<usize>(ctlPanelOffset),
      );
      break;
    case opMix: {
      const active = word(at, 6);
      mixRow(
        out, word(at, 3), word(at, 4), word(at, 5), <i32>active, word(at, 7) + row * active * routeBytes,
        word(at, 8) + row * (active << 2),
      );
      break;
    }
    case opGather:
      memory.copy(out, word(at, 3) + word(load<usize>(ctlWantedRow), row) * word(at, 4), word(at, 5));
      break;
    default:
      unreachable();
  }
}

/** Units are (row, head). */
function headLinear(at: usize, rows: i32): void {
  const heads = int(at, 5);
  const k = word(at, 6), passed = word(at, 7), n = word(at, 8);
  const weightBytes = ((n + 15) >> 4) * (k << 6);
  const result = scratch + load<usize>(ctlPanelOffset);
  const units = rows * heads;
  for (let unit = take(1); unit < units; unit = take(1)) {
    const row = <usize>(unit / heads), head = <usize>(unit % heads);
    const own = head * (k + passed);
    const x = word(at, 3) + row * word(at, 4) + (own << 2);
    const out = word(at, 1) + row * word(at, 2) + head * ((n + passed) << 2);
    // The runs count elements from the start of the row, or of the head.
    const counted: usize = int(at, 11) != 0 ? 0 : own;
    headOutputs(
      out, x - (counted << 2), k, n, word(at, 9) + head * weightBytes - (counted << 6), word(word(at, 10), head),
      word(word(at, 10), head + 1), result, scratch,
    );
    memory.copy(out + (n << 2), x + (k << 2), passed << 2);
  }
}

/** Units are (row, KV head), or (row, head) where the heads share one latent: the query heads that share a KV head follow each other, its keys still cached. */
function attend(at: usize, rows: i32): void {
  const out = word(at, 1), stride = word(at, 2), q = word(at, 3), qStride = word(at, 4);
  const heads = int(at, 5), kvHeads = int(at, 6), headDim = word(at, 7);
  const window = int(at, 11), parts = int(at, 12), group = int(at, 13);
  const sinks = word(at, 17), latentDim = word(at, 18);
  const outDim = latentDim != 0 ? latentDim : headDim;
  // All heads share the latent, but are no less work for that.
  const unitsPerRow = latentDim != 0 ? heads : kvHeads;
  const share = <usize>(heads / unitsPerRow);
  const runs = scratch + contextRunsOffset;
  const valueRows = scratch + load<usize>(ctlValueRowsOffset);
  const scores = scratch + load<usize>(ctlScoresOffset);
  const result = scratch + load<usize>(ctlPanelOffset);
  const units = rows * unitsPerRow;
  for (let unit = take(1); unit < units; unit = take(1)) {
    const row = unit / unitsPerRow;
    const firstHead = <usize>(unit % unitsPerRow) * share;
    const kvHead = firstHead / <usize>(heads / kvHeads);
    const position = int(load<usize>(ctlRowPosition), row);
    const table = word(load<usize>(ctlRowTable), row);
    const first = window > 0 ? max(0, position - window + 1) : 0;
    const length = position - first + 1;
    const tile = (length + parts - 1) / parts;
    const runsEnd = makeRuns(0, length, tile, parts, group, runs);
    const channels = word(word(at, 14), kvHead), channelsEnd = word(word(at, 14), kvHead + 1);
    const keys = kvHead * (headDim << 6);
    const values = <usize>kvHeads * (headDim << 6) + kvHead * blockTokens * (((headDim + 3) & ~3) << 2);
    if (latentDim != 0) listKeyRows(valueRows, table, first, length, word(at, 8), word(at, 9), keys);
    else listValueRows(valueRows, table, first, length, word(at, 8), word(at, 9), values, headDim);
    for (let h: usize = 0; h < share; h++) {
      const head = firstHead + h;
      attendHead(
        out + <usize>row * stride + head * (outDim << 2), q + <usize>row * qStride + head * (headDim << 2), headDim, load<f32>(at + 40), load<f32>(at + 60), load<f32>(at + 64), table, first, position,
        word(at, 8), word(at, 9), keys, kvHead * headDim, channels, channelsEnd, valueRows, runs, runsEnd, tile == 1,
        sinks ? load<f32>(sinks + (head << 2)) : -Infinity, scores,
        result, scratch, latentDim,
      );
    }
  }
}

// The functions of one value, for tests against their definitions.
export function expOf(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}
export function siluOf(x: f32): f32 {
  return f32x4.extract_lane(silu4(f32x4.splat(x)), 0);
}
export function geluTanhOf(x: f32): f32 {
  return f32x4.extract_lane(geluTanh4(f32x4.splat(x)), 0);
}
export function tanhOf(x: f32): f32 {
  return f32x4.extract_lane(tanh4(f32x4.splat(x)), 0);
}
export function clampedSiluOf(gate: f32, up: f32): f32 {
  return f32x4.extract_lane(clampedSilu4(f32x4.splat(gate), f32x4.splat(up)), 0);
}
export function bf16Of(x: f32): u32 {
  return toBf16(x);
}
export function e4m3Of(x: f32): u32 {
  return toE4m3(x);
}
export function f16Of(x: f32): u32 {
  return toF16(x);
}
