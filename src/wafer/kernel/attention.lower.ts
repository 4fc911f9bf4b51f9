import { fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { createLineProgram } from '../collective/line-program.ts';
import type { Collective, LineShape } from '../collective/index.ts';
import type { Dsd, Instruction, MemoryImage, Queue, Role } from '../machine/index.ts';
import type { Phase } from '../phase.ts';
import type { Axis } from '../reduction.ts';
import { attention } from './attention.ts';
import { across, along } from './kernel.ts';
import { lowerAllReduce, onLines } from './lower/all-reduce.ts';
import { columnPitch, weightBank } from './lower/columns.ts';
import { exponential, exponentialMemory } from './lower/exponential.ts';
import { cutAlong, gatherAlong, loweredContext, pesOfMesh, positionAlong, single, whole } from './lower/lowering.ts';
import type { LoweredKernel, Placement, Tensors } from './lower/lowering.ts';
import { byPosition, everywhere, sequence } from './lower/sequence.ts';
import type { Stage, Work } from './lower/sequence.ts';

/** Multi-head attention of one token; every head on `along(axis) / heads` PEs of a line. */
export interface AttentionSpec extends Placement {
  readonly heads: number;
  readonly headDim: number;
  /** Positions in the cache before the new one. */
  readonly cached: number;
  /** Runs four times, three of them over the same lines. */
  readonly collective: Collective;
  readonly group: (parts: number) => number;
}

/** Where the cached positions lie: runs of rows, the newest in the last row, row counts differing by one at most. */
interface Rows {
  readonly count: number;
  /** Positions of a row once the new one is in. */
  readonly held: (row: number) => number;
  /** The row that grows: those after it pass their oldest position on. */
  readonly grows: number;
}

function rowsOf(rows: number, cached: number): Rows {
  const total = cached + 1;
  return {
    count: rows,
    held: (row) => Math.floor(total / rows) + (row < total % rows ? 1 : 0),
    grows: cached % rows,
  };
}

const q = { register: 2 };
const value = { register: 3 };

/**
 * out = softmax(q · K) V with K and V of the cache and the new position; q carries the scale (a compiler folds it
 * in the weights of q). q, k, v and out are [heads · headDim], cut along the axis; the cache's positions lie along
 * the other, balanced by the shift scheme (WaferLLM, OSDI'25, section 4.3): the new position enters the last row,
 * and each row down to the one that grows passes its oldest to the row before it.
 *
 * Counts are stated for the fullest rows; the others are one position behind, which hides some of their waiting.
 * A PE keeps its positions newest first from slot 0 on; a position to come enters slot 0. (On a wafer the slots
 * are a ring, so nothing moves inside a PE.)
 */
export function lowerAttention(spec: AttentionSpec, wafer: Wafer): LoweredKernel {
  const { axis, type, heads, headDim, cached, collective, group } = spec;
  const other: Axis = axis === 'x' ? 'y' : 'x';
  const channels = along(axis, spec);
  const rows = rowsOf(across(axis, spec), cached);
  const headParts = channels / heads;
  const tile = headDim / headParts;
  if (!(Number.isInteger(headParts) && Number.isInteger(tile)))
    fail({
      code: 'KERNEL_SHAPE',
      message: `${heads} heads of ${headDim} do not fill ${channels} PEs evenly`,
      expected: 'PEs along the axis a multiple of the heads, and the head width a multiple of the PEs of a head',
    });
  if (cached + 1 < rows.count)
    fail({
      code: 'KERNEL_SHAPE',
      message: `${cached + 1} positions leave some of ${rows.count} rows of PEs empty`,
      expected: `at least ${rows.count - 1} cached positions`,
    });
  const most = rows.held(0);
  const keyPitch = columnPitch(most + 1, type);
  const valuePitch = columnPitch(tile, type);

  const perHead: LineShape = { parts: headParts, values: most, type, group: group(headParts) };
  const overRows = (values: number): LineShape => ({ parts: rows.count, values, type, group: group(rows.count) });
  const scoreSum = lowerAllReduce(collective, perHead, axis, spec, 's', wafer);
  const maximum = lowerAllReduce(collective, overRows(1), other, spec, 'most', wafer, 'max');
  const sum = lowerAllReduce(collective, overRows(1), other, spec, 'sum', wafer);
  const outSum = lowerAllReduce(collective, overRows(tile), other, spec, 'out', wafer);

  const vector = (
    op: 'mul' | 'mac' | 'max' | 'sub' | 'add',
    dst: string,
    ...src: (string | typeof q)[]
  ): Instruction => ({
    kind: 'vector',
    op,
    dtype: type,
    dst,
    src,
  });
  /** Rows with as many positions do the same. */
  const byHeld = (workFor: (held: number) => Work): Stage => {
    const known = new Map<number, Work>();
    return byPosition(spec, other, (row) => {
      const held = rows.held(row);
      const work = known.get(held) ?? workFor(held);
      known.set(held, work);
      return work;
    });
  };
  const load = (object: string, index: number, dst: typeof q): Instruction => ({ kind: 'load', object, index, dst });
  const lowest = type === 'fp32' ? -3e38 : -60_000;

  const scores = byHeld((held) => {
    const keys = Array.from({ length: tile }, (_, i): [string, Dsd] => [
      `k${i}`,
      { kind: 'memory', object: 'keys', offset: i * keyPitch, extents: [held] },
    ]);
    return {
      dsds: { ...whole(held, 's'), ...Object.fromEntries(keys) },
      code: keys.flatMap(([name], i) => [
        load('q', i, q),
        i === 0 ? vector('mul', 's', name, q) : vector('mac', 's', 's', name, q),
      ]),
    };
  });
  const localMaximum = byHeld((held) => ({
    dsds: { ...whole(held, 's'), most: single('most', held) },
    code: [{ kind: 'store', object: 'most', index: 0, src: lowest }, vector('max', 'most', 'most', 's')],
  }));
  const exponentials = byHeld((held) => ({
    dsds: { ...whole(held, 's', 'e', 'e bits', 'n', 'n bits', 'r'), sum: single('sum', held) },
    code: [
      { kind: 'store', object: 'sum', index: 0, src: 0 },
      load('most', 0, q),
      vector('sub', 'r', 's', q),
      ...exponential('r', 1, type),
      vector('add', 'sum', 'sum', 'e'),
    ],
  }));
  const weighted = byHeld((held) => {
    const values = Array.from({ length: held }, (_, slot): [string, Dsd] => [
      `v${slot}`,
      { kind: 'memory', object: 'values', offset: slot * valuePitch, extents: [tile] },
    ]);
    return {
      dsds: { ...whole(tile, 'out'), ...Object.fromEntries(values) },
      code: values.flatMap(([name], slot) => [
        load('e', slot, value),
        slot === 0 ? vector('mul', 'out', name, value) : vector('mac', 'out', 'out', name, value),
      ]),
    };
  });
  const normalize = everywhere(spec, whole(tile, 'out'), [
    load('sum', 0, value),
    { kind: 'scalar', op: 'div', dtype: type, dst: value, src: [1, value] },
    vector('mul', 'out', 'out', value),
  ]);

  const program = sequence(
    spec,
    [
      { name: 's', dtype: type, length: most, bank: 0 },
      { name: 'keys', dtype: type, length: tile * keyPitch, bank: weightBank[type] },
      { name: 'out', dtype: type, length: tile, bank: 0 },
      { name: 'values', dtype: type, length: (most + 1) * valuePitch, bank: weightBank[type] },
      ...['q', 'k', 'v'].map((name) => ({ name, dtype: type, length: tile })),
      { name: 'most', dtype: type, length: 1, bank: 7 },
      { name: 'sum', dtype: type, length: 1, bank: 3 },
      ...exponentialMemory(most, type),
    ],
    [
      appendStage(spec, rows, tile, keyPitch, wafer),
      scores,
      ...scoreSum.stages,
      localMaximum,
      ...maximum.stages,
      exponentials,
      ...sum.stages,
      weighted,
      ...outSum.stages,
      normalize,
    ],
    wafer,
  );
  const phasesOf = new Map([
    [`${perHead.parts} ${most}`, scoreSum.phases],
    [`${rows.count} ${tile}`, outSum.phases],
    [`${rows.count} 1`, sum.phases],
  ]);
  return {
    program,
    phases: attention.phases(
      { kind: 'attention', out: 'out', q: 'q', k: 'k', v: 'v', heads, kvHeads: heads, headDim, scale: 1 },
      axis,
      {
        ...loweredContext(spec),
        cached,
        allReduce: ({ parts, values }): readonly Phase[] => phasesOf.get(`${parts} ${values}`) ?? [],
      },
    ),
    *inputs(tensors) {
      for (const name of ['q', 'k', 'v']) yield* cutAlong(tensors[name], name, axis, spec);
      yield* cacheImages(spec, rows, tile, keyPitch, valuePitch, tensors);
    },
    readback: (memory) => gatherAlong(memory, 'out', axis, spec, heads * headDim),
  };
}

/** The cache as it lies before the step: the newest position of a row in slot 1, or in slot 0 where none is to come. */
function* cacheImages(
  spec: AttentionSpec,
  rows: Rows,
  tile: number,
  keyPitch: number,
  valuePitch: number,
  tensors: Tensors,
): Generator<MemoryImage> {
  const { axis, heads, headDim } = spec;
  const width = heads * headDim;
  const other: Axis = axis === 'x' ? 'y' : 'x';
  // First position behind each row's own.
  const ends: number[] = [];
  for (let row = 0; row < rows.count; row++)
    ends.push((ends[row - 1] ?? 0) + rows.held(row) - (row === rows.grows ? 1 : 0));
  for (const [x, y] of pesOfMesh(spec)) {
    const row = positionAlong(other, x, y);
    const from = positionAlong(axis, x, y) * tile;
    const first = ends[row - 1] ?? 0;
    const keys = new Float64Array(tile * keyPitch);
    const values = new Float64Array((rows.held(0) + 1) * valuePitch);
    for (let position = first; position < ends[row]; position++) {
      const slot = ends[row] - position - (row < rows.grows ? 1 : 0);
      for (let i = 0; i < tile; i++) {
        keys[i * keyPitch + slot] = tensors['cacheK'][position * width + from + i];
        values[slot * valuePitch + i] = tensors['cacheV'][position * width + from + i];
      }
    }
    yield { x, y, object: 'keys', values: keys };
    yield { x, y, object: 'values', values };
  }
}

/**
 * The new position enters the last row, and rows after the one that grows send their oldest one hop on, beside
 * what they receive.
 */
function appendStage(spec: AttentionSpec, rows: Rows, tile: number, keyPitch: number, wafer: Wafer): Stage {
  const { axis, type } = spec;
  const last = rows.count - 1;
  const valuePitch = columnPitch(tile, type);
  const line = createLineProgram({ parts: rows.count, values: 1, type, group: 1 }, 'posted', wafer);
  // Neighbours take two colors in turn, because a PE receives and sends at once.
  for (let row = rows.grows + 1; row <= last; row++) line.message(row & 1, row, row - 1);
  const { routes } = line.build([]).program;

  const slotDsds = (suffix: string, slot: number): Record<string, Dsd> => ({
    [`key${suffix}`]: { kind: 'memory', object: 'keys', offset: slot, extents: [tile], strides: [keyPitch] },
    [`value${suffix}`]: { kind: 'memory', object: 'values', offset: slot * valuePitch, extents: [tile] },
  });
  const move = (dst: string, src: string, thread?: number): Instruction => ({
    kind: 'vector',
    op: 'mov',
    dtype: type,
    dst,
    src: [src],
    ...(thread === undefined ? {} : { async: { thread } }),
  });
  const roleAt = (row: number): Role => {
    const sends = row > rows.grows;
    const inputs: Queue[] = row < last ? [{ queue: 0, color: (row + 1) & 1 }] : [];
    const outputs: Queue[] = sends ? [{ queue: 0, color: row & 1 }] : [];
    const oldest = rows.held(row);
    const code = [
      // Sent beside what comes in; the value follows the key on its thread.
      ...(sends ? [move('out', 'keyOld', 0)] : []),
      move('keyNew', row < last ? 'in' : 'k'),
      ...(sends ? [move('out', 'valueOld', 0)] : []),
      move('valueNew', row < last ? 'in' : 'v'),
    ];
    return {
      memory: [],
      inputs,
      outputs,
      dsds: {
        ...slotDsds('New', 0),
        ...(sends ? { ...slotDsds('Old', oldest), out: { kind: 'fabricOut', color: row & 1, length: tile } } : {}),
        ...(row < last ? { in: { kind: 'fabricIn', color: (row + 1) & 1, length: tile } } : whole(tile, 'k', 'v')),
      },
      tasks: [{ name: 'main', kind: 'local', id: 8, code }],
      start: ['main'],
    };
  };
  const receiving = Array.from({ length: rows.count - rows.grows }, (_, i) => rows.grows + i);
  const placed = onLines(
    {
      format: 'ingot-machine',
      version: 1,
      target: wafer.id,
      width: rows.count,
      height: 1,
      routes,
      roles: Object.fromEntries(receiving.map((row) => [`row ${row}`, roleAt(row)])),
      tiles: receiving.map((row) => ({ on: { x: row, y: 0, width: 1, height: 1 }, role: `row ${row}` })),
    },
    axis === 'x' ? 'y' : 'x',
    spec,
  );
  return placed;
}
