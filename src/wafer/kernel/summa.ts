import { fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import {
  allocate,
  branch,
  encodeControl,
  integer,
  jump,
  label,
  load,
  machineProgram,
  mainRole,
  vectorsOf,
} from '../machine/index.ts';
import type { Dsd, Instruction, Register, RoutePosition, RouteRule } from '../machine/index.ts';
import { phase, waveletsOf, type Phase, type VectorType } from '../phase.ts';
import { columnPitch, weightBank } from './lower/columns.ts';
import { pesOfMesh, putColumns, tileColumns, tileRows, type LoweredKernel } from './lower/lowering.ts';

export interface SummaSpec {
  /** PEs of each side of the mesh. */
  readonly side: number;
  readonly type: VectorType;
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

const tilesOf = ({ side, m, k, n }: SummaSpec): number[] => [m, k, n].map((size) => Math.ceil(size / side));

/**
 * SUMMA (van de Geijn and Watts, 1997): in step s column s of the mesh broadcasts its tiles of A along the rows and row
 * s its tiles of B along the columns; every PE multiplies what it got. As in the vendor's GEMM example (csl-examples,
 * benchmarks/gemm-collectives_2d) a PE receives both tiles, then multiplies: nothing goes on beside the work.
 */
export function summa(spec: SummaSpec): Phase[] {
  const { side, type } = spec;
  const [mTile, kTile, nTile] = tilesOf(spec);
  const [a, b] = [mTile * kTile, kTile * nTile];
  return [
    phase('broadcast and multiply', {
      repeat: side,
      // A sender of A sends its tile, turns the switches and copies it to where it is multiplied; then B comes from a
      // sender that has done the same. Whoever comes next has to multiply before it sends.
      hops: 1,
      ramps: 2,
      steps: 6,
      wavelets: waveletsOf(a, type) + waveletsOf(b, type),
      vectors: [
        { count: 2, length: 0, type },
        { count: 1, length: a, type },
        { count: 1, length: b, type },
        { count: kTile * nTile, length: mTile, type, looped: true },
      ],
    }),
    phase('the last tiles', { hops: 1, ramps: 2, vectors: [{ count: 1, length: 0, type }] }),
  ];
}

/** The PE in step s sends while its row (or column) listens: one color, whose switches follow the sender. */
function routesOf(color: number, axis: 'x' | 'y', side: number): RouteRule[] {
  const [ahead, behind] = axis === 'x' ? (['E', 'W'] as const) : (['S', 'N'] as const);
  const before: RoutePosition = { rx: [behind], tx: ['R', ahead] };
  const sends: RoutePosition = { rx: ['R'], tx: [ahead, behind] };
  const after: RoutePosition = { rx: [ahead], tx: ['R', behind] };
  const rule = (first: number, count: number, positions: readonly RoutePosition[]): RouteRule[] =>
    count < 1
      ? []
      : [
          {
            on:
              axis === 'x'
                ? { x: first, y: 0, width: count, height: side }
                : { x: 0, y: first, width: side, height: count },
            color,
            positions,
            pop: 'always',
          },
        ];
  return [
    ...rule(0, 1, [
      { rx: ['R'], tx: [ahead] },
      { rx: [ahead], tx: ['R'] },
    ]),
    ...rule(1, side - 2, [before, sends, after]),
    ...rule(side - 1, 1, [
      { rx: [behind], tx: ['R'] },
      { rx: ['R'], tx: [behind] },
    ]),
  ];
}

/**
 * C = A · B on a square mesh. Behind its tile a sender's control wavelet turns its own router, which then lets the
 * later senders pass, and the next PE's, which then sends: its two commands are obeyed by one router each.
 */
export function lowerSumma(spec: SummaSpec, wafer: Wafer): LoweredKernel {
  const { side, type, m, k, n } = spec;
  if (side < 2) fail({ code: 'KERNEL_SHAPE', message: `no SUMMA on a mesh of side ${side}`, expected: 'at least 2' });
  const mesh = { width: side, height: side };
  const [mTile, kTile, nTile] = tilesOf(spec);
  const pitch = columnPitch(mTile, type);
  const memory = allocate(
    [
      { name: 'c', dtype: type, length: nTile * pitch, bank: 0 },
      ...['a', 'a now'].map((name) => ({ name, dtype: type, length: kTile * pitch, bank: weightBank[type] })),
      ...['b', 'b now'].map((name) => ({ name, dtype: type, length: kTile * nTile })),
      { name: 'place', dtype: 'i32', length: 2 },
    ],
    wafer,
  );
  const columns = (object: string, count: number): [string, Dsd][] =>
    Array.from({ length: count }, (_, i) => [
      `${object} ${i}`,
      { kind: 'memory', object, offset: i * pitch, extents: [mTile] },
    ]);
  const tileA = (object: string): Dsd => ({ kind: 'memory', object, extents: [kTile, mTile], strides: [pitch, 1] });
  const tileB = (object: string): Dsd => ({ kind: 'memory', object, extents: [kTile * nTile] });
  const colors = { a: 0, b: 1 } as const;
  const lengths = { a: kTile * mTile, b: kTile * nTile } as const;
  const dsds: Record<string, Dsd> = {
    ...Object.fromEntries([...columns('c', nTile), ...columns('a now', kTile)]),
    a: tileA('a'),
    'a now': tileA('a now'),
    b: tileB('b'),
    'b now': tileB('b now'),
  };
  for (const name of ['a', 'b'] as const) {
    dsds[`${name} out`] = { kind: 'fabricOut', color: colors[name], length: lengths[name] };
    dsds[`${name} in`] = { kind: 'fabricIn', color: colors[name], length: lengths[name] };
    dsds[`${name} turn`] = { kind: 'fabricOut', color: colors[name], length: 1, control: true };
  }
  const [factor, step, column, row] = [{ register: 0 }, { register: 1 }, { register: 2 }, { register: 3 }];
  const vector = vectorsOf(type);
  const turn = encodeControl({ commands: ['advance', 'advance'] });
  const obtain = (name: 'a' | 'b', sender: Register): Instruction[] => [
    branch(sender, '!=', step, `take ${name}`),
    vector('mov', `${name} out`, name),
    vectorsOf('i32')('mov', `${name} turn`, turn),
    vector('mov', `${name} now`, name),
    jump(`has ${name}`),
    label(`take ${name}`),
    vector('mov', `${name} now`, `${name} in`),
    label(`has ${name}`),
  ];
  const code: Instruction[] = [
    load('place', 0, column),
    load('place', 1, row),
    label('step'),
    ...obtain('a', column),
    ...obtain('b', row),
    ...Array.from({ length: kTile * nTile }, (_, i): Instruction[] => [
      load('b now', i, factor),
      vector('mac', `c ${i % nTile}`, `c ${i % nTile}`, `a now ${Math.floor(i / nTile)}`, factor),
    ]).flat(),
    integer('add', step, step, 1),
    branch(step, '<', side, 'step'),
  ];
  const queues = [
    { queue: 0, color: colors.a },
    { queue: 1, color: colors.b },
  ];
  return {
    program: machineProgram(wafer, mesh, {
      routes: [...routesOf(colors.a, 'x', side), ...routesOf(colors.b, 'y', side)],
      roles: { all: mainRole({ memory, inputs: queues, outputs: queues, dsds }, code) },
      tiles: [{ on: { x: 0, y: 0, ...mesh }, role: 'all' }],
    }),
    phases: summa(spec),
    *inputs({ a, b }) {
      for (const [x, y] of pesOfMesh(mesh)) {
        yield { x, y, object: 'a', values: tileColumns(a, [m, k], [y * mTile, x * kTile], [mTile, kTile], pitch) };
        yield { x, y, object: 'b', values: tileRows(b, [k, n], [y * kTile, x * nTile], [kTile, nTile]) };
        yield { x, y, object: 'place', values: [x, y] };
      }
    },
    readback(reader) {
      const c = new Float64Array(m * n);
      for (const [x, y] of pesOfMesh(mesh))
        putColumns(reader.read(x, y, 'c'), c, [m, n], [y * mTile, x * nTile], [mTile, nTile], pitch);
      return c;
    },
  };
}
