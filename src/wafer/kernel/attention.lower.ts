import { fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Collective, LineShape } from '../collective/index.ts';
import type { Phase } from '../phase.ts';
import type { Axis } from '../reduction.ts';
import { attention } from './attention.ts';
import { across, along } from './kernel.ts';
import { lowerAllReduce } from './lower/all-reduce.ts';
import { attentionStages, type AttentionTile } from './lower/attention-stages.ts';
import { appendStage, cacheImages, keyPitch, ownShiftLine, rowsOf, valuePitch } from './lower/cached-rows.ts';
import { weightBank } from './lower/columns.ts';
import { exponentialMemory } from './lower/exponential.ts';
import { cutAlong, gatherAlong, loweredContext, type LoweredKernel, type Placement } from './lower/lowering.ts';
import { sequence } from './lower/sequence.ts';

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
  const rows = rowsOf(across(axis, spec), cached + 1, true);
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
  const tileOf: AttentionTile = {
    ...spec,
    rows,
    tile,
    heads: 1,
    queries: 1,
    channels: tile,
    keyIndex: (_, channel) => channel,
    queryIndex: (_, channel) => channel,
  };

  const perHead: LineShape = { parts: headParts, values: most, type, group: group(headParts) };
  const overRows = (values: number): LineShape => ({ parts: rows.count, values, type, group: group(rows.count) });
  const scoreSum = lowerAllReduce(collective, perHead, axis, spec, 's', wafer);
  const maximum = lowerAllReduce(collective, overRows(1), other, spec, 'most', wafer, 'max');
  const sum = lowerAllReduce(collective, overRows(1), other, spec, 'sum', wafer);
  const outSum = lowerAllReduce(collective, overRows(tile), other, spec, 'out', wafer);

  const program = sequence(
    spec,
    [
      { name: 's', dtype: type, length: most, bank: 0 },
      { name: 'keys', dtype: type, length: tile * keyPitch(tileOf), bank: weightBank[type] },
      { name: 'out', dtype: type, length: tile, bank: 0 },
      { name: 'values', dtype: type, length: (most + 1) * valuePitch(tileOf), bank: weightBank[type] },
      ...['q', 'k', 'v'].map((name) => ({ name, dtype: type, length: tile })),
      { name: 'most', dtype: type, length: 1, bank: 7 },
      { name: 'sum', dtype: type, length: 1, bank: 3 },
      ...exponentialMemory(most, type),
    ],
    [
      appendStage(tileOf, ownShiftLine(tileOf, wafer), { object: 'k', offset: 0 }, { object: 'v', offset: 0 }, wafer),
      ...attentionStages(tileOf, 'q', {
        scores: scoreSum.stages,
        maximum: maximum.stages,
        sum: sum.stages,
        out: outSum.stages,
      }),
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
      const width = heads * headDim;
      const row = (name: string) => (position: number, part: number, channel: number) =>
        tensors[name][position * width + part * tile + channel];
      yield* cacheImages(tileOf, row('cacheK'), row('cacheV'));
    },
    readback: (memory) => gatherAlong(memory, 'out', axis, spec, heads * headDim),
  };
}
