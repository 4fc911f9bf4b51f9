import { fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import {
  allocate,
  branch,
  fabricIn,
  fabricOut,
  firstLocalTask,
  integer,
  label,
  load,
  machineProgram,
  vectorsOf,
} from '../machine/index.ts';
import type { Dsd, Instruction, Role, Task, Tile } from '../machine/index.ts';
import { interleave, shiftRoutes, shiftsAlong, type Shift } from '../collective/ring-shift.ts';
import type { VectorType } from '../phase.ts';
import { columnPitch, weightBank } from './lower/columns.ts';
import { loweredContext, pesOfMesh, putColumns, tileColumns, tileRows, type LoweredKernel } from './lower/lowering.ts';
import { cannonGemm, shiftGemm } from './shift-gemm.ts';

export interface ShiftGemmSpec {
  /** Which PEs are ring neighbours: at most two hops apart, or in order with one message over the whole line (Cannon). */
  readonly ring?: 'interleaved' | 'plain';
  /** PEs of each side of the mesh. */
  readonly side: number;
  readonly type: VectorType;
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

/**
 * C = A · B by cyclic shift on a square mesh: interleaved (MeshGEMM, WaferLLM, section 5) or Cannon's. The PE at ring indices
 * (i, j) makes the tile C[j, i]. It starts with A[j, i + j] and B[i + j, i] (indices modulo the side: tiles are
 * placed so, no step aligns them), and in each step multiplies what it holds while it passes A on along x and B
 * along y and takes the next ones into second buffers. After as many steps as the mesh has PEs on a side every
 * tile is back where it was.
 *
 * A step is two tasks: one starts when the next A is there, the other when the next B is there too.
 */
export function lowerShiftGemm(spec: ShiftGemmSpec, wafer: Wafer): LoweredKernel {
  const { side, type, m, k, n } = spec;
  if (side < 2) fail({ code: 'KERNEL_SHAPE', message: `no shift on a mesh of side ${side}`, expected: 'at least 2' });
  const mesh = { width: side, height: side };
  const [mTile, kTile, nTile] = [m, k, n].map((size) => Math.ceil(size / side));
  const pitch = columnPitch(mTile, type);
  const ring = spec.ring !== 'plain' ? interleave(side) : Array.from({ length: side }, (_, i) => i);
  const indexOf = ring.map((_, position) => ring.indexOf(position));
  const alongX = shiftsAlong(ring, 'E', 'W', 0);
  const alongY = shiftsAlong(ring, 'S', 'N', 3);

  const memory = allocate(
    [
      { name: 'c', dtype: type, length: nTile * pitch, bank: 0 },
      ...['a0', 'a1'].map((name) => ({ name, dtype: type, length: kTile * pitch, bank: weightBank[type] })),
      ...['b0', 'b1'].map((name) => ({ name, dtype: type, length: kTile * nTile })),
    ],
    wafer,
  );
  const columns = (object: string, count: number): [string, Dsd][] =>
    Array.from({ length: count }, (_, i) => [
      `${object} ${i}`,
      { kind: 'memory', object, offset: i * pitch, extents: [mTile] },
    ]);
  const tileDsds: Record<string, Dsd> = {
    ...Object.fromEntries([...columns('c', nTile), ...columns('a0', kTile), ...columns('a1', kTile)]),
    a0: { kind: 'memory', object: 'a0', extents: [kTile, mTile], strides: [pitch, 1] },
    a1: { kind: 'memory', object: 'a1', extents: [kTile, mTile], strides: [pitch, 1] },
    b0: { kind: 'memory', object: 'b0', extents: [kTile * nTile] },
    b1: { kind: 'memory', object: 'b1', extents: [kTile * nTile] },
  };
  const vector = vectorsOf(type);
  const move = (dst: string, src: string, thread: number, unblock?: string): Instruction => ({
    ...vector('mov', dst, src),
    async: { thread, unblock },
  });
  const factor = { register: 0 };
  const steps = { register: 1 };
  /** Multiplies buffers `now` and fills buffers `1 - now`. */
  const stepTasks = (now: number): Task[] => {
    const next = 1 - now;
    return [
      {
        name: `multiply ${now}`,
        kind: 'local',
        id: firstLocalTask + now,
        blocked: now === 1,
        code: [
          { kind: 'block', task: `multiply ${now}` },
          // A thread takes its next move when the one before is done: so a buffer is sent before it is filled again.
          move('a out', `a${now}`, 0),
          move('b out', `b${now}`, 1),
          move(`a${next}`, 'a in', 2, `arrived ${now}`),
          move(`b${next}`, 'b in', 3, `multiply ${next}`),
          ...Array.from({ length: kTile * nTile }, (_, i): Instruction[] => [
            load(`b${now}`, i, factor),
            vector('mac', `c ${i % nTile}`, `c ${i % nTile}`, `a${now} ${Math.floor(i / nTile)}`, factor),
          ]).flat(),
          { kind: 'activate', task: `arrived ${now}` },
        ],
      },
      {
        name: `arrived ${now}`,
        kind: 'local',
        id: firstLocalTask + 2 + now,
        blocked: true,
        code: [
          { kind: 'block', task: `arrived ${now}` },
          integer('add', steps, steps, 1),
          branch(steps, '>=', side, 'all'),
          { kind: 'activate', task: `multiply ${next}` },
          label('all'),
        ],
      },
    ];
  };
  const tasks = [...stepTasks(0), ...stepTasks(1)];
  const roleOf = (x: Shift, y: Shift): Role => ({
    memory,
    inputs: [
      { queue: 0, color: x.in },
      { queue: 1, color: y.in },
    ],
    outputs: [
      { queue: 0, color: x.out },
      { queue: 1, color: y.out },
    ],
    dsds: {
      ...tileDsds,
      'a out': fabricOut(x.out, kTile * mTile),
      'a in': fabricIn(x.in, kTile * mTile),
      'b out': fabricOut(y.out, kTile * nTile),
      'b in': fabricIn(y.in, kTile * nTile),
    },
    tasks,
    start: ['multiply 0'],
  });

  const roles: Record<string, Role> = {};
  const tiles: Tile[] = [];
  for (const [px, py] of pesOfMesh(mesh)) {
    const [x, y] = [alongX[px], alongY[py]];
    const role = `x ${x.out} ${x.in} y ${y.out} ${y.in}`;
    roles[role] ??= roleOf(x, y);
    tiles.push({ on: { x: px, y: py, width: 1, height: 1 }, role });
  }
  const routes = [...shiftRoutes(alongX, 'x'), ...shiftRoutes(alongY, 'y')];
  return {
    program: machineProgram(wafer, mesh, { routes, roles, tiles }),
    phases: (spec.ring !== 'plain' ? shiftGemm : cannonGemm)(m, k, n, loweredContext({ ...mesh, axis: 'x', type })),
    *inputs({ a, b }) {
      for (const [x, y] of pesOfMesh(mesh)) {
        const [i, j] = [indexOf[x], indexOf[y]];
        const block = (i + j) % side;
        yield { x, y, object: 'a0', values: tileColumns(a, [m, k], [j * mTile, block * kTile], [mTile, kTile], pitch) };
        yield { x, y, object: 'b0', values: tileRows(b, [k, n], [block * kTile, i * nTile], [kTile, nTile]) };
      }
    },
    readback(reader) {
      const c = new Float64Array(m * n);
      for (const [x, y] of pesOfMesh(mesh))
        putColumns(reader.read(x, y, 'c'), c, [m, n], [indexOf[y] * mTile, indexOf[x] * nTile], [mTile, nTile], pitch);
      return c;
    },
  };
}
