import type { Wafer } from '../../spec/index.ts';
import {
  allocate,
  branch,
  fabricIn,
  fabricOut,
  firstLocalTask,
  integer,
  jump,
  label,
  load,
  machineProgram,
  setDsd,
  vectorsOf,
} from '../machine/index.ts';
import type { Dsd, Instruction, Port, Queue, Role, RoutePosition, RouteRule, Tile } from '../machine/index.ts';
import { embedding } from './embedding.ts';
import { across, along } from './kernel.ts';
import { transposed } from './lower/all-reduce.ts';
import { columnPitch } from './lower/columns.ts';
import { gatherAlong, loweredContext, pesOfMesh, pieceOf, positionAlong } from './lower/lowering.ts';
import type { LoweredKernel, Placement } from './lower/lowering.ts';

export interface EmbeddingSpec extends Placement {
  readonly vocab: number;
  readonly size: number;
}

const idColor = 0;
const rowColor = 1;
const id = { register: 0 };
const row = { register: 2 };
const first = { register: 3 };

/** Where a piece of the row comes from, as seen by a PE: switch positions of its router, in order. */
type Origin = 'west' | 'east' | 'own';

/**
 * x = table[id] for one token. Each row of the table [vocab, size] is cut along the axis; rows are dealt in equal
 * runs to the lines of PEs across it. The id starts at PE (0, 0) and is multicast to all PEs; each starts a task
 * for it, finds on which side of it the row lies and turns its own router to that side; the PEs that hold the
 * row multicast it to both sides. A piece that comes before the router is turned waits there.
 */
export function lowerEmbedding(spec: EmbeddingSpec, wafer: Wafer): LoweredKernel {
  const { axis, type, vocab, size } = spec;
  // Written for rows cut along y and dealt along x; the other axis is the same program on its side.
  const [width, height] = [across(axis, spec), along(axis, spec)];
  const tile = Math.ceil(size / height);
  const pitch = columnPitch(tile, type);
  const rows = Math.ceil(vocab / width);
  const memory = allocate(
    [
      { name: 'table', dtype: type, length: rows * pitch },
      { name: 'x', dtype: type, length: tile },
      { name: 'id', dtype: 'i32', length: 1 },
      { name: 'first row', dtype: 'i32', length: 1 },
    ],
    wafer,
  );
  const originsOf = (column: number): Origin[] => [
    ...(column > 0 ? (['west'] as const) : []),
    ...(column < width - 1 ? (['east'] as const) : []),
    ...(width > 1 ? (['own'] as const) : []),
  ];
  const vector = vectorsOf(type);
  const receive = (origin: Origin, origins: readonly Origin[]): Instruction[] =>
    origins.includes(origin)
      ? [{ kind: 'switch', color: rowColor, position: origins.indexOf(origin) }, vector('mov', 'x', 'in'), jump('end')]
      : [];

  const roleOf = (column: number, line: number): Role => {
    const origins = originsOf(column);
    const isSource = column === 0 && line === 0;
    const alone = width * height === 1;
    const find: Instruction[] = [
      load('first row', 0, first),
      integer('sub', row, id, first),
      branch(row, '<', 0, 'west'),
      branch(row, '>=', rows, 'east'),
      integer('mul', row, row, pitch),
      setDsd('row', 'offset', row),
      ...(width > 1
        ? [{ kind: 'switch', color: rowColor, position: origins.indexOf('own') } as const, vector('mov', 'out', 'row')]
        : []),
      vector('mov', 'x', 'row'),
      jump('end'),
      label('west'),
      ...receive('west', origins),
      label('east'),
      ...receive('east', origins),
      label('end'),
    ];
    const dsds: Record<string, Dsd> = {
      row: { kind: 'memory', object: 'table', extents: [tile] },
      x: { kind: 'memory', object: 'x', extents: [tile] },
      ...(width > 1 ? { in: fabricIn(rowColor, tile), out: fabricOut(rowColor, tile) } : {}),
      ...(isSource && !alone
        ? {
            'id out': fabricOut(idColor, 1),
            id: { kind: 'memory', object: 'id', extents: [1] },
          }
        : {}),
    };
    const rowQueue: Queue[] = width > 1 ? [{ queue: 1, color: rowColor }] : [];
    return {
      memory,
      inputs: [...(isSource ? [] : [{ queue: 0, color: idColor }]), ...rowQueue],
      outputs: [...(isSource && !alone ? [{ queue: 0, color: idColor }] : []), ...rowQueue],
      dsds,
      tasks: [
        isSource
          ? {
              name: 'id',
              kind: 'local',
              id: firstLocalTask,
              code: [...(alone ? [] : [vectorsOf('i32')('mov', 'id out', 'id')]), load('id', 0, id), ...find],
            }
          : { name: 'id', kind: 'data', color: idColor, dtype: 'i32', argument: id, code: find },
      ],
      start: isSource ? ['id'] : [],
    };
  };

  const roles: Record<string, Role> = {};
  const tiles: Tile[] = [];
  const routes: RouteRule[] = [];
  for (const [x, y] of pesOfMesh({ width, height })) {
    const on = { x, y, width: 1, height: 1 };
    const isSource = x === 0 && y === 0;
    const name = isSource ? 'source' : `column ${x === 0 ? 'first' : x === width - 1 ? 'last' : 'inner'}`;
    roles[name] ??= roleOf(x, y);
    tiles.push({ on, role: name });
    const onwards: Port[] = [
      ...(y === 0 && x < width - 1 ? (['E'] as const) : []),
      ...(y < height - 1 ? (['S'] as const) : []),
    ];
    if (!isSource)
      routes.push({ on, color: idColor, positions: [{ rx: [y === 0 ? 'W' : 'N'], tx: ['R', ...onwards] }] });
    else if (onwards.length > 0) routes.push({ on, color: idColor, positions: [{ rx: ['R'], tx: onwards }] });
    if (width > 1)
      routes.push({ on, color: rowColor, positions: originsOf(x).map((origin) => rowPosition(origin, x)) });
  }
  function rowPosition(origin: Origin, column: number): RoutePosition {
    const [toWest, toEast]: Port[][] = [column > 0 ? ['W'] : [], column < width - 1 ? ['E'] : []];
    if (origin === 'west') return { rx: ['W'], tx: ['R', ...toEast] };
    if (origin === 'east') return { rx: ['E'], tx: ['R', ...toWest] };
    return { rx: ['R'], tx: [...toWest, ...toEast] };
  }

  const upright = machineProgram(wafer, { width, height }, { routes, roles, tiles });
  const other = axis === 'x' ? 'y' : 'x';
  return {
    program: axis === 'y' ? upright : transposed(upright),
    phases: embedding.phases(
      { kind: 'embedding', out: 'x', weight: 'table', vocab, width: size },
      axis,
      loweredContext(spec),
    ),
    *inputs({ table, id: token }) {
      yield { x: 0, y: 0, object: 'id', values: token };
      for (const [x, y] of pesOfMesh(spec)) {
        const from = positionAlong(other, x, y) * rows;
        yield { x, y, object: 'first row', values: [from] };
        const values = new Float64Array(rows * pitch);
        for (let r = from; r < Math.min(from + rows, vocab); r++) {
          const whole = Array.from({ length: size }, (_, i) => table[r * size + i]);
          values.set(pieceOf(whole, positionAlong(axis, x, y), tile), (r - from) * pitch);
        }
        yield { x, y, object: 'table', values };
      }
    },
    readback: (memory) => gatherAlong(memory, 'x', axis, spec, size),
  };
}
