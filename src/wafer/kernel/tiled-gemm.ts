import { assert } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Collective, LineShape } from '../collective/index.ts';
import { wholeWavelets } from '../collective/line-step.ts';
import { allocate, bankWidth, dtypeBytes } from '../machine/index.ts';
import type { Dsd, Instruction, MemoryRequest } from '../machine/index.ts';
import { phase } from '../phase.ts';
import type { Phase, VectorType } from '../phase.ts';
import { onLines } from './lower/all-reduce.ts';
import { pesOfMesh } from './lower/lowering.ts';
import type { LoweredKernel } from './lower/lowering.ts';
import { everywhere, sequence } from './lower/sequence.ts';
import type { LineStage } from './lower/sequence.ts';

export interface TiledGemmSpec {
  readonly width: number;
  readonly height: number;
  readonly type: VectorType;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  /** Sums the PEs' products along their row. */
  readonly collective: Collective;
  readonly group: number;
}

/** Cycles of scalar instructions around a vector instruction: load the factor, move the column on, count, branch. */
export const turn = 4;
/** And around the columns of one factor column: first column again, next factor column, its end, branch. */
export const outerTurn = 4;

const tileOf = ({ width, height, k, n }: TiledGemmSpec) => ({
  kTile: Math.ceil(k / width),
  nTile: Math.ceil(n / height),
});

/** Plain arrays one after another, with no thought of banks. */
const memoryOf = (spec: TiledGemmSpec): MemoryRequest[] => {
  const { type, m } = spec;
  const { kTile, nTile } = tileOf(spec);
  return [
    { name: 'c', dtype: type, length: wholeWavelets(nTile * m, type) },
    { name: 'b', dtype: type, length: kTile * m },
    { name: 'a', dtype: type, length: kTile * nTile },
  ];
};

/**
 * C [n, m] = A [n, k] · B [k, m] as one writes it first: each PE holds a tile of A and the rows of B that it meets, runs
 * two nested loops around a vector instruction over m, and the rows of PEs sum their tiles of C. Where m fills whole rows
 * of banks, every column of B begins in the bank in which every column of C does, and each step of the multiply-accumulate
 * waits for a second access.
 */
export function tiledGemm(spec: TiledGemmSpec, wafer: Wafer): Phase[] {
  const { type, m, collective } = spec;
  const { kTile, nTile } = tileOf(spec);
  const [c, b] = allocate(memoryOf(spec), wafer);
  const bank = (address: number, column: number): number =>
    Math.floor((address + column * m * dtypeBytes(type)) / bankWidth) % wafer.sramBanks;
  let same = 0;
  for (let i = 0; i < kTile; i++) for (let j = 0; j < nTile; j++) if (bank(b.address, i) === bank(c.address, j)) same++;
  const vectors = [
    { count: same, length: m, type, sameBank: true },
    { count: kTile * nTile - same, length: m, type },
  ];
  return [
    phase('multiply', { steps: 1 + kTile * (nTile * turn + outerTurn), vectors }),
    ...collective.phases(lineOf(spec)),
  ];
}

const lineOf = (spec: TiledGemmSpec): LineShape => ({
  parts: spec.width,
  values: tileOf(spec).nTile * spec.m,
  type: spec.type,
  group: spec.group,
});

export function lowerTiledGemm(spec: TiledGemmSpec, wafer: Wafer): LoweredKernel {
  const { width, height, type, m, k, n, collective } = spec;
  const { kTile, nTile } = tileOf(spec);
  const line = lineOf(spec);
  const { program, results, line: does } = collective.lower(line, wafer);
  assert(does !== undefined, `${collective.id} is a list of steps`);
  const { routes, tiles } = onLines(program, 'x', spec);
  const sum: LineStage = {
    routes,
    tiles,
    ...does,
    use: { object: 'c', length: wholeWavelets(line.values, type), type, combine: 'add' },
  };
  const [factor, at, end] = [{ register: 2 }, { register: 3 }, { register: 4 }];
  const column = (object: string): Dsd => ({ kind: 'memory', object, extents: [m] });
  const multiply: Instruction[] = [
    { kind: 'scalar', op: 'mov', dtype: 'i32', dst: end, src: [nTile] },
    { kind: 'label', name: 'factors' },
    { kind: 'load', object: 'a', index: at, dst: factor },
    { kind: 'vector', op: 'mac', dtype: type, dst: 'c', src: ['c', 'b', factor] },
    { kind: 'dsd', set: 'shift', dsd: 'c', value: m },
    { kind: 'scalar', op: 'add', dtype: 'i32', dst: at, src: [at, 1] },
    { kind: 'branch', when: '<', left: at, right: end, to: 'factors' },
    { kind: 'dsd', set: 'offset', dsd: 'c', value: 0 },
    { kind: 'dsd', set: 'shift', dsd: 'b', value: m },
    { kind: 'scalar', op: 'add', dtype: 'i32', dst: end, src: [end, nTile] },
    { kind: 'branch', when: '<', left: at, right: kTile * nTile, to: 'factors' },
  ];
  return {
    program: sequence(
      spec,
      memoryOf(spec),
      [everywhere(spec, { c: column('c'), b: column('b') }, multiply), ...(width > 1 ? [sum] : [])],
      wafer,
    ),
    phases: tiledGemm(spec, wafer),
    *inputs({ a, b }) {
      for (const [x, y] of pesOfMesh(spec)) {
        const own = new Float64Array(kTile * nTile);
        const rows = new Float64Array(kTile * m);
        for (let i = 0; i < kTile && x * kTile + i < k; i++) {
          for (let j = 0; j < nTile && y * nTile + j < n; j++)
            own[i * nTile + j] = a[(y * nTile + j) * k + x * kTile + i];
          for (let j = 0; j < m; j++) rows[i * m + j] = b[(x * kTile + i) * m + j];
        }
        yield { x, y, object: 'a', values: own };
        yield { x, y, object: 'b', values: rows };
      }
    },
    readback(memory) {
      const c = new Float64Array(n * m);
      for (let y = 0; y * nTile < n && y < height; y++) {
        const tile = memory.read(results[0], y, 'c');
        c.set(tile.subarray(0, Math.min(nTile, n - y * nTile) * m), y * nTile * m);
      }
      return c;
    },
  };
}
