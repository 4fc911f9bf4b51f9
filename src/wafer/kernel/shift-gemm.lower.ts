import { fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { allocate } from '../machine/index.ts';
import type { Dsd, Instruction, MachineProgram, MemoryReader, Role, RouteRule, Task, Tile } from '../machine/index.ts';
import { interleave, shiftsAlong } from '../collective/ring-shift.ts';
import type { Shift } from '../collective/ring-shift.ts';
import type { VectorType } from '../phase.ts';
import { columnPitch, weightBank } from './lower/columns.ts';
import { loweredContext, pesOfMesh } from './lower/lowering.ts';
import type { LoweredKernel } from './lower/lowering.ts';
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
  const move = (dst: string, src: string, thread: number, unblock?: string): Instruction => ({
    kind: 'vector',
    op: 'mov',
    dtype: type,
    dst,
    src: [src],
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
        id: 8 + now,
        blocked: now === 1,
        code: [
          { kind: 'block', task: `multiply ${now}` },
          // A thread takes its next move when the one before is done: so a buffer is sent before it is filled again.
          move('a out', `a${now}`, 0),
          move('b out', `b${now}`, 1),
          move(`a${next}`, 'a in', 2, `arrived ${now}`),
          move(`b${next}`, 'b in', 3, `multiply ${next}`),
          ...Array.from({ length: kTile * nTile }, (_, i): Instruction[] => [
            { kind: 'load', object: `b${now}`, index: i, dst: factor },
            {
              kind: 'vector',
              op: 'mac',
              dtype: type,
              dst: `c ${i % nTile}`,
              src: [`c ${i % nTile}`, `a${now} ${Math.floor(i / nTile)}`, factor],
            },
          ]).flat(),
          { kind: 'activate', task: `arrived ${now}` },
        ],
      },
      {
        name: `arrived ${now}`,
        kind: 'local',
        id: 10 + now,
        blocked: true,
        code: [
          { kind: 'block', task: `arrived ${now}` },
          { kind: 'scalar', op: 'add', dtype: 'i32', dst: steps, src: [steps, 1] },
          { kind: 'branch', when: '>=', left: steps, right: side, to: 'all' },
          { kind: 'activate', task: `multiply ${next}` },
          { kind: 'label', name: 'all' },
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
      'a out': { kind: 'fabricOut', color: x.out, length: kTile * mTile },
      'a in': { kind: 'fabricIn', color: x.in, length: kTile * mTile },
      'b out': { kind: 'fabricOut', color: y.out, length: kTile * nTile },
      'b in': { kind: 'fabricIn', color: y.in, length: kTile * nTile },
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
  const routes: RouteRule[] = [
    ...alongX.flatMap((shift) =>
      shift.routes.map(({ position, color, rx, tx }) => ({
        on: { x: position, y: 0, width: 1, height: side },
        color,
        positions: [{ rx: [rx], tx: [tx] }],
      })),
    ),
    ...alongY.flatMap((shift) =>
      shift.routes.map(({ position, color, rx, tx }) => ({
        on: { x: 0, y: position, width: side, height: 1 },
        color,
        positions: [{ rx: [rx], tx: [tx] }],
      })),
    ),
  ];
  const program: MachineProgram = {
    format: 'ingot-machine',
    version: 1,
    target: wafer.id,
    width: side,
    height: side,
    routes,
    roles,
    tiles,
  };
  return {
    program,
    phases: (spec.ring !== 'plain' ? shiftGemm : cannonGemm)(m, k, n, loweredContext({ ...mesh, axis: 'x', type })),
    *inputs({ a, b }) {
      for (const [px, py] of pesOfMesh(mesh)) {
        const [i, j] = [indexOf[px], indexOf[py]];
        const block = (i + j) % side;
        const aTile = new Float64Array(kTile * pitch);
        for (let column = 0; column < kTile && block * kTile + column < k; column++)
          for (let row = 0; row < mTile && j * mTile + row < m; row++)
            aTile[column * pitch + row] = a[(j * mTile + row) * k + block * kTile + column];
        const bTile = new Float64Array(kTile * nTile);
        for (let row = 0; row < kTile && block * kTile + row < k; row++)
          for (let column = 0; column < nTile && i * nTile + column < n; column++)
            bTile[row * nTile + column] = b[(block * kTile + row) * n + i * nTile + column];
        yield { x: px, y: py, object: 'a0', values: aTile };
        yield { x: px, y: py, object: 'b0', values: bTile };
      }
    },
    readback: (reader) => product(reader),
  };

  function product(reader: MemoryReader): Float64Array {
    const c = new Float64Array(m * n);
    for (const [px, py] of pesOfMesh(mesh)) {
      const [i, j] = [indexOf[px], indexOf[py]];
      const tile = reader.read(px, py, 'c');
      for (let column = 0; column < nTile && i * nTile + column < n; column++)
        for (let row = 0; row < mTile && j * mTile + row < m; row++)
          c[(j * mTile + row) * n + i * nTile + column] = tile[column * pitch + row];
    }
    return c;
  }
}
