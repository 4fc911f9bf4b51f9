import { assert, fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Collective, LineShape } from '../collective/index.ts';
import { wholeWavelets } from '../collective/line-step.ts';
import { interleave, shiftsAlong } from '../collective/ring-shift.ts';
import type { Shift } from '../collective/ring-shift.ts';
import type { Dsd, Instruction, MemoryRequest, Role, Tile } from '../machine/index.ts';
import { phase, waveletsOf } from '../phase.ts';
import type { Phase, VectorType } from '../phase.ts';
import { columnPitch, weightBank } from './lower/columns.ts';
import { onLines } from './lower/all-reduce.ts';
import { pesOfMesh } from './lower/lowering.ts';
import type { LoweredKernel } from './lower/lowering.ts';
import { sequence } from './lower/sequence.ts';
import type { LineStage, Stage, WorkStage } from './lower/sequence.ts';
import { outerTurn, turn } from './tiled-gemm.ts';

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
  const whole = (object: string, length: number, offset = 0): Dsd => ({
    kind: 'memory',
    object,
    offset,
    extents: [length],
  });
  const [factor, at, end] = [{ register: 4 }, { register: 5 }, { register: 6 }];
  const move = (dst: string, src: string | number, thread?: number): Instruction => ({
    kind: 'vector',
    op: 'mov',
    dtype: type,
    dst,
    src: [src],
    ...(thread === undefined ? {} : { async: { thread } }),
  });
  /** Steps use two pairs of threads in turn, so that waiting for one pair does not keep the other from starting. */
  const threads = (step: number): readonly [number, number] => (step % 2 === 0 ? [0, 1] : [2, 3]);
  const roleOf = (step: number, shift: Shift): Role => {
    const [now, next] = [`b${step % 2}`, `b${1 - (step % 2)}`];
    const [out, into] = threads(step);
    const waits = step === 0 ? [] : threads(step - 1);
    const code: Instruction[] = [
      // A thread takes its next instruction when it is free: the tile is there, and the one before has left.
      ...waits.map(
        (thread): Instruction => ({
          kind: 'vector',
          op: 'mov',
          dtype: 'i32',
          dst: 'waited',
          src: [0],
          async: { thread },
        }),
      ),
      ...(step === side - 1 ? [] : [move('out', now, out), move(next, 'in', into)]),
      move('part', 0),
      { kind: 'scalar', op: 'mov', dtype: 'i32', dst: at, src: [0] },
      { kind: 'scalar', op: 'mov', dtype: 'i32', dst: end, src: [nTile] },
      { kind: 'label', name: 'factors' },
      { kind: 'load', object: now, index: at, dst: factor },
      { kind: 'vector', op: 'mac', dtype: type, dst: 'column', src: ['column', 'a', factor] },
      { kind: 'dsd', set: 'shift', dsd: 'column', value: pitch },
      { kind: 'scalar', op: 'add', dtype: 'i32', dst: at, src: [at, 1] },
      { kind: 'branch', when: '<', left: at, right: end, to: 'factors' },
      { kind: 'dsd', set: 'offset', dsd: 'column', value: 0 },
      { kind: 'dsd', set: 'shift', dsd: 'a', value: pitch },
      { kind: 'scalar', op: 'add', dtype: 'i32', dst: end, src: [end, nTile] },
      { kind: 'branch', when: '<', left: at, right: kTile * nTile, to: 'factors' },
    ];
    return {
      memory: [],
      inputs: [{ queue: 0, color: shift.in }],
      outputs: [{ queue: 0, color: shift.out }],
      dsds: {
        part: whole('part', part),
        column: whole('part', mTile),
        a: whole('a', mTile),
        [now]: whole(now, kTile * nTile),
        [next]: whole(next, kTile * nTile),
        out: { kind: 'fabricOut', color: shift.out, length: kTile * nTile },
        in: { kind: 'fabricIn', color: shift.in, length: kTile * nTile },
        waited: whole('waited', 1),
      },
      tasks: [{ name: 'main', kind: 'local', id: 8, code }],
      start: ['main'],
    };
  };
  const shiftRoutes = shifts.flatMap((shift) =>
    shift.routes.map(({ position, color, rx, tx }) => ({
      on: { x: 0, y: position, width: side, height: 1 },
      color,
      positions: [{ rx: [rx], tx: [tx] }],
    })),
  );
  const multiply = (step: number): WorkStage => ({
    routes: shiftRoutes,
    line: 'shift',
    roles: Object.fromEntries(shifts.map((shift) => [`${shift.out} ${shift.in}`, roleOf(step, shift)])),
    tiles: shifts.map(
      (shift, y): Tile => ({ on: { x: 0, y, width: side, height: 1 }, role: `${shift.out} ${shift.in}` }),
    ),
  });
  const keep = (step: number): WorkStage => ({
    routes: [],
    roles: {
      root: {
        memory: [],
        inputs: [],
        outputs: [],
        dsds: { part: whole('part', part), c: whole('c', part, step * part) },
        tasks: [{ name: 'main', kind: 'local', id: 8, code: [move('c', 'part')] }],
        start: ['main'],
      },
    },
    tiles: [{ on: { x: root, y: 0, width: 1, height: side }, role: 'root' }],
  });
  const stages = Array.from({ length: side }, (_, step): Stage[] => [multiply(step), sum, keep(step)]).flat();
  return {
    program: sequence(mesh, memory, stages, wafer),
    phases: gemmTransposed(spec),
    *inputs({ a, b }) {
      for (const [x, y] of pesOfMesh(mesh)) {
        const aTile = new Float64Array(kTile * pitch);
        const bTile = new Float64Array(kTile * nTile);
        const first = indexOf[y] * nTile;
        for (let i = 0; i < kTile && x * kTile + i < k; i++) {
          for (let row = 0; row < mTile && y * mTile + row < m; row++)
            aTile[i * pitch + row] = a[(y * mTile + row) * k + x * kTile + i];
          for (let j = 0; j < nTile && first + j < n; j++) bTile[i * nTile + j] = b[(first + j) * k + x * kTile + i];
        }
        yield { x, y, object: 'a', values: aTile };
        yield { x, y, object: 'b0', values: bTile };
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
