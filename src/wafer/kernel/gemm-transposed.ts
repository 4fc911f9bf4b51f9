import { assert, fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Collective, LineShape } from '../collective/index.ts';
import { wholeWavelets } from '../collective/line-step.ts';
import { interleave, shiftRoutes, shiftsAlong, type Shift } from '../collective/ring-shift.ts';
import { fabricIn, fabricOut, integer, mainRole, vectorsOf } from '../machine/index.ts';
import type { Dsd, Instruction, MemoryRequest, Role, Tile } from '../machine/index.ts';
import { phase, waveletsOf, type Phase, type VectorType } from '../phase.ts';
import { columnPitch, weightBank } from './lower/columns.ts';
import { onLines } from './lower/all-reduce.ts';
import { pesOfMesh, sliceOf, tileColumns, type LoweredKernel } from './lower/lowering.ts';
import { sequence, type LineStage, type Stage, type WorkStage } from './lower/sequence.ts';
import { columnLoop, outerTurn, turn } from './tiled-gemm.ts';

export interface GemmTransposedSpec {
  /** PEs of each side of the mesh. */
  readonly side: number;
  readonly type: VectorType;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  /** Sums the products of each step along the rows. */
  readonly collective: Collective;
  readonly group: number;
}

function shapeOf({ side, type, m, k, n, group }: GemmTransposedSpec) {
  const [mTile, kTile, nTile] = [m, k, n].map((size) => Math.ceil(size / side));
  const pitch = columnPitch(mTile, type);
  const line: LineShape = { parts: side, values: nTile * pitch, type, group };
  return { mTile, kTile, nTile, pitch, line, part: wholeWavelets(nTile * pitch, type) };
}

/** The counts of `lowerGemmTransposed`. `shiftGemmTransposed` has those of a loop that the hardware turns. */
export function gemmTransposed(spec: GemmTransposedSpec): Phase[] {
  const { side, type, collective } = spec;
  const { mTile, kTile, nTile, part, line } = shapeOf(spec);
  const multiply = phase('shift and multiply', {
    repeat: side,
    // The first step sends at once; the others wait for the tile and the one before. Both moves start beside the work.
    steps: 4 + kTile * (nTile * turn + outerTurn),
    wavelets: 2 * waveletsOf(kTile * nTile, type),
    vectors: [
      { count: 1, length: part, type },
      { count: kTile * nTile, length: mTile, type },
    ],
  });
  const keep = phase('keep', { repeat: side, vectors: [{ count: 1, length: part, type }] });
  const sums = collective.phases(line);
  const behind = (collective.follows?.(line) ?? sums).map((p) => ({ ...p, repeat: p.repeat * (side - 1) }));
  return [multiply, ...sums, ...behind, keep];
}

/**
 * C [m, n] = A [m, k] · Bᵀ with B [n, k] cut as A is, so nothing is transposed over the mesh (GEMM-T of WaferLLM,
 * OSDI'25, section 4): the rows of tiles of B pass all rows of PEs by an interleaved cyclic shift along y, and in each
 * step the products that a row of PEs makes are summed along x. The PE at which the sums end keeps that tile of C.
 */
export function lowerGemmTransposed(spec: GemmTransposedSpec, wafer: Wafer): LoweredKernel {
  const { side, type, m, k, n, collective } = spec;
  if (side < 2) fail({ code: 'KERNEL_SHAPE', message: `no shift on a mesh of side ${side}`, expected: 'at least 2' });
  const mesh = { width: side, height: side };
  const { mTile, kTile, nTile, pitch, line, part } = shapeOf(spec);
  const ring = interleave(side);
  const indexOf = ring.map((_, position) => ring.indexOf(position));
  const shifts = shiftsAlong(ring, 'S', 'N', 0);
  const reduce = collective.lower(line, wafer);
  assert(reduce.line !== undefined, `${collective.id} is a list of steps`);
  const [root] = reduce.results;
  const { routes, tiles } = onLines(reduce.program, 'x', mesh);
  const isFixed = routes.every((rule) => rule.positions.length === 1);
  const sum: LineStage = {
    routes,
    tiles,
    ...reduce.line,
    use: { object: 'part', length: part, type, combine: 'add' },
    ...(isFixed ? { line: 'sum' } : {}),
  };
  const memory: MemoryRequest[] = [
    { name: 'part', dtype: type, length: part, bank: 0 },
    { name: 'a', dtype: type, length: kTile * pitch, bank: weightBank[type] },
    ...['b0', 'b1'].map((name) => ({ name, dtype: type, length: kTile * nTile })),
    { name: 'c', dtype: type, length: side * part, bank: 0 },
    { name: 'waited', dtype: 'i32', length: 1 },
  ];
  const whole = (object: string, length: number, offset = 0): Dsd => sliceOf({ object, offset }, length);
  const [factor, at, end] = [{ register: 4 }, { register: 5 }, { register: 6 }];
  const vector = vectorsOf(type);
  /** Steps use two pairs of threads in turn, so that waiting for one pair does not keep the other from starting. */
  const threads = (step: number): readonly [number, number] => (step % 2 === 0 ? [0, 1] : [2, 3]);
  const roleOf = (step: number, shift: Shift): Role => {
    const [now, next] = [`b${step % 2}`, `b${1 - (step % 2)}`];
    const [out, into] = threads(step);
    const waits = step === 0 ? [] : threads(step - 1);
    const code: Instruction[] = [
      // A thread takes its next instruction when it is free: the tile is there, and the one before has left.
      ...waits.map((thread): Instruction => ({ ...vectorsOf('i32')('mov', 'waited', 0), async: { thread } })),
      ...(step === side - 1
        ? []
        : [
            { ...vector('mov', 'out', now), async: { thread: out } },
            { ...vector('mov', next, 'in'), async: { thread: into } },
          ]),
      vector('mov', 'part', 0),
      integer('mov', at, 0),
      ...columnLoop({ c: 'column', a: 'a', factors: now }, { kTile, nTile, pitch }, [factor, at, end], type),
    ];
    const dsds = {
      part: whole('part', part),
      column: whole('part', mTile),
      a: whole('a', mTile),
      [now]: whole(now, kTile * nTile),
      [next]: whole(next, kTile * nTile),
      out: fabricOut(shift.out, kTile * nTile),
      in: fabricIn(shift.in, kTile * nTile),
      waited: whole('waited', 1),
    };
    return mainRole({ inputs: [{ queue: 0, color: shift.in }], outputs: [{ queue: 0, color: shift.out }], dsds }, code);
  };
  const multiply = (step: number): WorkStage => ({
    routes: shiftRoutes(shifts, 'y'),
    line: 'shift',
    roles: Object.fromEntries(shifts.map((shift) => [`${shift.out} ${shift.in}`, roleOf(step, shift)])),
    tiles: shifts.map(
      (shift, y): Tile => ({ on: { x: 0, y, width: side, height: 1 }, role: `${shift.out} ${shift.in}` }),
    ),
  });
  const keep = (step: number): WorkStage => ({
    routes: [],
    roles: {
      root: mainRole({ dsds: { part: whole('part', part), c: whole('c', part, step * part) } }, [
        vector('mov', 'c', 'part'),
      ]),
    },
    tiles: [{ on: { x: root, y: 0, width: 1, height: side }, role: 'root' }],
  });
  const stages = Array.from({ length: side }, (_, step): Stage[] => [multiply(step), sum, keep(step)]).flat();
  return {
    program: sequence(mesh, memory, stages, wafer),
    phases: gemmTransposed(spec),
    *inputs({ a, b }) {
      for (const [x, y] of pesOfMesh(mesh)) {
        const bRow = indexOf[y] * nTile;
        yield { x, y, object: 'a', values: tileColumns(a, [m, k], [y * mTile, x * kTile], [mTile, kTile], pitch) };
        yield { x, y, object: 'b0', values: tileColumns(b, [n, k], [bRow, x * kTile], [nTile, kTile]) };
      }
    },
    readback(reader) {
      const c = new Float64Array(m * n);
      for (let y = 0; y < side; y++) {
        const kept = reader.read(root, y, 'c');
        for (let step = 0; step < side; step++) {
          const first = ((indexOf[y] + step) % side) * nTile;
          for (let j = 0; j < nTile && first + j < n; j++)
            for (let row = 0; row < mTile && y * mTile + row < m; row++)
              c[(y * mTile + row) * n + first + j] = kept[step * part + j * pitch + row];
        }
      }
      return c;
    },
  };
}
