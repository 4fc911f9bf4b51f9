import { assert } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Collective, LineShape } from '../collective/index.ts';
import { wholeWavelets } from '../collective/line-step.ts';
import { allocate, bankWidth, branch, dtypeBytes, integer, label, load, setDsd, vectorsOf } from '../machine/index.ts';
import type { Dsd, Instruction, MemoryRequest, Register } from '../machine/index.ts';
import { phase, type Phase, type VectorType } from '../phase.ts';
import { onLines } from './lower/all-reduce.ts';
import { pesOfMesh, tileColumns, tileRows, type LoweredKernel } from './lower/lowering.ts';
import { everywhere, sequence, type LineStage } from './lower/sequence.ts';

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

/**
 * The loops themselves: columns of `c` plus columns of `a` times the elements of the object `factors`, both `pitch` apart.
 * `at` is 0 before.
 */
export function columnLoop(
  { c, a, factors }: Readonly<Record<'c' | 'a' | 'factors', string>>,
  { kTile, nTile, pitch }: Readonly<Record<'kTile' | 'nTile' | 'pitch', number>>,
  [factor, at, end]: readonly [factor: Register, at: Register, end: Register],
  type: VectorType,
): Instruction[] {
  return [
    integer('mov', end, nTile),
    label('factors'),
    load(factors, at, factor),
    vectorsOf(type)('mac', c, c, a, factor),
    setDsd(c, 'shift', pitch),
    integer('add', at, at, 1),
    branch(at, '<', end, 'factors'),
    setDsd(c, 'offset', 0),
    setDsd(a, 'shift', pitch),
    integer('add', end, end, nTile),
    branch(at, '<', kTile * nTile, 'factors'),
  ];
}

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
  const multiply = columnLoop({ c: 'c', a: 'b', factors: 'a' }, { kTile, nTile, pitch: m }, [factor, at, end], type);
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
        yield { x, y, object: 'a', values: tileColumns(a, [n, k], [y * nTile, x * kTile], [nTile, kTile]) };
        yield { x, y, object: 'b', values: tileRows(b, [k, m], [x * kTile, 0], [kTile, m]) };
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
