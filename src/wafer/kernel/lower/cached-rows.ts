// Where the positions of a KV cache lie: runs of rows of PEs, the newest in the last row, balanced by the shift scheme
// (WaferLLM, OSDI'25, section 4.3): a new position enters the last row, and each row down to the one that grows passes
// its oldest to the row before it. While there are fewer positions than rows each has a row of its own.

import { assert } from '../../../core/index.ts';
import type { Wafer } from '../../../spec/index.ts';
import { createLineProgram } from '../../collective/line-program.ts';
import { fabricIn, fabricOut, machineProgram, mainRole, vectorsOf } from '../../machine/index.ts';
import type { Dsd, Instruction, MemoryImage, RouteRule } from '../../machine/index.ts';
import type { Axis } from '../../reduction.ts';
import type { VectorType } from '../../phase.ts';
import { across } from '../kernel.ts';
import { onLines } from './all-reduce.ts';
import { columnPitch } from './columns.ts';
import { pesOfMesh, positionAlong, sliceOf, type Slice } from './lowering.ts';
import type { Mesh, WorkStage } from './sequence.ts';

export interface Rows {
  readonly count: number;
  /** Positions of a row in this step. */
  readonly held: (row: number) => number;
  /** The first position of the cache that any row holds: those before it are out of the window. */
  readonly first: number;
  /** What this step appends, where it does. */
  readonly append?: {
    /** The row that the new position enters: the last one that holds any. */
    readonly enters: number;
    /** The row that passes nothing on: it grows, or where a window is full drops its oldest position. */
    readonly ends: number;
    readonly drops: boolean;
  };
}

/**
 * Row counts differ by one at most; rows behind the last position hold none.
 * @param total positions of the sequence, an appended one included
 * @param window at most as many of them are seen
 */
export function rowsOf(rows: number, total: number, appends: boolean, window = Infinity): Rows {
  const seen = Math.min(total, window);
  const drops = total > window;
  return {
    count: rows,
    held: (row) => Math.floor(seen / rows) + (row < seen % rows ? 1 : 0),
    first: Math.max(0, total - (appends ? 1 : 0) - window),
    ...(appends ? { append: { enters: Math.min(seen, rows) - 1, ends: drops ? 0 : (seen - 1) % rows, drops } } : {}),
  };
}

/** Rows that send a position to the row before them. */
export function* sendingRows({ append }: Rows): Generator<number> {
  if (append !== undefined) for (let row = append.ends + 1; row <= append.enters; row++) yield row;
}

/** The cache of one PE: for each of `tile` channels its keys, and for each position its values; newest first. */
export interface CacheTile extends Mesh {
  /** Of the channels; positions lie along the other. */
  readonly axis: Axis;
  readonly type: VectorType;
  readonly rows: Rows;
  readonly tile: number;
}

/** From one channel's keys to the next, and from one position's values to the next, in elements. */
export const keyPitch = ({ rows, type }: CacheTile): number => columnPitch(rows.held(0) + 1, type);
export const valuePitch = ({ tile, type }: CacheTile): number => columnPitch(tile, type);

/**
 * The cache as it lies before the step, from slot 0 on; from slot 1 on in rows where a position is to come in. (On a
 * wafer the slots are a ring, so nothing moves inside a PE.)
 * @param key element of channel `channel` at position `position` on the PEs at `part` of the axis
 */
export function* cacheImages(
  cache: CacheTile,
  key: (position: number, part: number, channel: number) => number,
  value: (position: number, part: number, channel: number) => number,
): Generator<MemoryImage> {
  const { axis, rows, tile } = cache;
  const other: Axis = axis === 'x' ? 'y' : 'x';
  const { append, first } = rows;
  const isPassed = (row: number): boolean => append !== undefined && row >= append.ends;
  const grows = append === undefined || append.drops ? undefined : append.ends;
  // First position behind each row's own.
  const ends: number[] = [];
  for (let row = 0; row < rows.count; row++)
    ends.push((ends[row - 1] ?? first) + rows.held(row) - (row === grows ? 1 : 0));
  const [perKey, perValue] = [keyPitch(cache), valuePitch(cache)];
  const keys = new Float64Array(tile * perKey);
  const values = new Float64Array((rows.held(0) + 1) * perValue);
  for (const [x, y] of pesOfMesh(cache, axis)) {
    const row = positionAlong(other, x, y);
    const part = positionAlong(axis, x, y);
    keys.fill(0);
    values.fill(0);
    for (let position = ends[row - 1] ?? first; position < ends[row]; position++) {
      const slot = ends[row] - position - (isPassed(row) ? 0 : 1);
      for (let i = 0; i < tile; i++) {
        keys[i * perKey + slot] = key(position, part, i);
        values[slot * perValue + i] = value(position, part, i);
      }
    }
    yield { x, y, object: 'keys', values: keys };
    yield { x, y, object: 'values', values };
  }
}

/** Colors and routes by which rows pass positions on; a kernel may have messages between the same rows already. */
export interface ShiftLine {
  readonly routes: readonly RouteRule[];
  /** Color by which a row sends to the row before it. */
  readonly color: (row: number) => number;
  /** See `WorkStage`. */
  readonly line?: string;
}

/** In two colors of its own: neighbours take turns, because a PE receives and sends at once. */
export function ownShiftLine({ rows, type }: CacheTile, wafer: Wafer): ShiftLine {
  const line = createLineProgram({ parts: rows.count, values: 1, type, group: 1 }, 'posted', wafer);
  const color = (row: number): number => row & 1;
  for (const row of sendingRows(rows)) line.message(color(row), row, row - 1);
  return { routes: line.build([]).program.routes, color };
}

/**
 * The new position enters its row, and rows after the one that grows send their oldest one hop on, beside what they
 * receive. k and v are the new position's, in the order of the cache's channels.
 */
export function appendStage(cache: CacheTile, shift: ShiftLine, k: Slice, v: Slice, wafer: Wafer): WorkStage {
  const { axis, type, rows, tile } = cache;
  const { color } = shift;
  assert(rows.append !== undefined, 'the step appends');
  const { enters, ends } = rows.append;
  const slotDsds = (suffix: string, slot: number): Record<string, Dsd> => ({
    [`key${suffix}`]: { kind: 'memory', object: 'keys', offset: slot, extents: [tile], strides: [keyPitch(cache)] },
    [`value${suffix}`]: sliceOf({ object: 'values', offset: slot * valuePitch(cache) }, tile),
  });
  const vector = vectorsOf(type);
  const send = (src: string): Instruction => ({ ...vector('mov', 'out', src), async: { thread: 0 } });
  const receiving = Array.from({ length: enters - ends + 1 }, (_, i) => ends + i);
  const roles = receiving.map((row) => {
    const sends = row > ends;
    const code = [
      // Sent beside what comes in; the value follows the key on its thread.
      ...(sends ? [send('keyOld')] : []),
      vector('mov', 'keyNew', row < enters ? 'in' : 'k'),
      ...(sends ? [send('valueOld')] : []),
      vector('mov', 'valueNew', row < enters ? 'in' : 'v'),
    ];
    const inputs = row < enters ? [{ queue: 0, color: color(row + 1) }] : [];
    const outputs = sends ? [{ queue: 0, color: color(row) }] : [];
    const dsds = {
      ...slotDsds('New', 0),
      ...(sends ? { ...slotDsds('Old', rows.held(row)), out: fabricOut(color(row), tile) } : {}),
      ...(row < enters ? { in: fabricIn(color(row + 1), tile) } : { k: sliceOf(k, tile), v: sliceOf(v, tile) }),
    };
    return mainRole({ inputs, outputs, dsds }, code);
  });
  // Rows that do the same are one role.
  const names = roles.map((role) => JSON.stringify(role));
  const line = machineProgram(
    wafer,
    { width: across(axis, cache), height: 1 },
    {
      routes: shift.routes,
      roles: Object.fromEntries(names.map((name, i) => [name, roles[i]])),
      tiles: receiving.map((row, i) => ({ on: { x: row, y: 0, width: 1, height: 1 }, role: names[i] })),
    },
  );
  return { ...onLines(line, axis === 'x' ? 'y' : 'x', cache), line: shift.line };
}
