// What compiled kernels compute from one fixed input: bytes to compare two builds of the same source by.

import { instantiate, pageBytes } from './kernels.ts';
import * as layout from './layout.ts';

/** Where things lie in the sample's own memory. */
const at = {
  runs: 0x1000,
  channels: 0x2000,
  table: 0x3000,
  rows: 0x4000,
  scores: 0x5000,
  accumulators: 0x6000,
  panel: 0x8000,
  weights: 0x20000,
  inputs: 0x40000,
  scales: 0x50000,
  packed: 0x60000,
  out: 0x70000,
} as const;
const pages = 8;
const outBytes = pages * pageBytes - at.out;

/** Elements of a row in tiles that are not all whole, rows, and bytes from one token's outputs to the next. */
const [k, blocks] = [43, 3];
const stride = blocks * layout.blockRows * 4;
const headDim = 32;
/** A position in the third block of the cache. */
const position = 40;

/** Outputs of every kernel of matrices and attention, as `module` computes them; each is valid until the next is asked for. */
export function* sampleKernels(module: WebAssembly.Module): Generator<Uint8Array, void, undefined> {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const kernels = instantiate(module, memory) as unknown as Record<string, (...operands: number[]) => number>;
  const words = new Uint32Array(memory.buffer);
  const output = new Uint8Array(memory.buffer, at.out, outBytes);
  const fill = (from: number, to: number, word: (bits: number) => number): void => {
    let state = 1;
    for (let i = from / 4; i < to / 4; i++)
      words[i] = word((state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0));
  };
  /** Fp32 of magnitude 0.5 to 1. */
  const float = (bits: number): number => (bits & 0x807fffff) | 0x3f000000;
  /** Pairs of finite bfloat16 or IEEE halves, or any bytes and quarters. */
  const halves = (bits: number): number => bits & 0xbbffbbff;
  const take = (kernel: string, ...operands: number[]): Uint8Array => {
    output.fill(0);
    kernels[kernel](...operands);
    return output;
  };

  const end = kernels['makeRuns'](0, k, 5, 9, 4, at.runs);
  fill(at.inputs, at.packed, float);
  for (const format of [layout.formatF32, layout.formatBf16, layout.formatF16, layout.formatFp8, layout.formatInt4]) {
    fill(at.weights, at.inputs, format === layout.formatF32 ? float : halves);
    words.fill(0, at.table / 4, at.rows / 4);
    for (const tokens of [1, 2, 5]) {
      const matrix = [format, at.weights, at.inputs, tokens, k, at.runs, end, 0, blocks, at.out, stride];
      yield take('linear', ...matrix, at.scales, at.accumulators, at.panel, at.scales, layout.blockRows * 4, at.table);
    }
  }
  const pairs = Math.ceil(k / 2);
  for (const tokens of [1, 5]) {
    const groups = Math.ceil(tokens / layout.tokenGroup);
    yield take('quantizeRows', at.packed, pairs, at.inputs, k * 4, k, at.out, tokens, 0, tokens === 1 ? 1 : groups);
    const matrix = [at.weights, at.packed, tokens, pairs, at.scales, at.scales, 0, blocks, at.out, stride];
    yield take('linearInt8', ...matrix, at.inputs);
  }

  fill(at.weights, at.inputs, float);
  const keyBytes = headDim * layout.blockTokens * 4;
  words.set([0, 1, 2], at.table / 4);
  const channelsEnd = kernels['makeRuns'](0, headDim, 5, 7, 3, at.channels);
  const length = position + 1;
  kernels['listValueRows'](at.rows, at.table, 0, length, at.weights, 2 * keyBytes, keyBytes, headDim);
  for (const tile of [1, 3]) {
    const contextEnd = kernels['makeRuns'](0, length, tile, Math.ceil(length / tile), 4, at.runs);
    const cached = [at.table, 0, position, at.weights, 2 * keyBytes, 0, 0, at.channels, channelsEnd];
    const context = [at.rows, at.runs, contextEnd, tile === 1 ? 1 : 0, -Infinity];
    yield take(
      'attendHead',
      at.out,
      at.inputs,
      headDim,
      0.25,
      0,
      0,
      ...cached,
      ...context,
      at.scores,
      at.panel,
      at.accumulators,
      0,
    );
  }
}
