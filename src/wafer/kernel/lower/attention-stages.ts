// Attention of one token on the PEs that hold its cache, as stages. A PE has one or more heads of keys and values, or
// a part of one, and for each of them the queries that share it: a "lane" is one query of one of these heads.

import { load, scalarsOf, store, vectorsOf, type Dsd, type Instruction } from '../../machine/index.ts';
import type { VectorType } from '../../phase.ts';
import { exponential } from './exponential.ts';
import { keyPitch, valuePitch, type CacheTile } from './cached-rows.ts';
import { single, sliceOf, whole } from './lowering.ts';
import { byPosition, everywhere, type Stage, type Work, type WorkStage } from './sequence.ts';

/**
 * A PE's part of the heads. The cache's tile is `heads` times `channels`; how a channel's index follows from head and
 * channel, and a query's from lane and channel, is the placement's choice (see `layer/layout.ts`).
 */
export interface AttentionTile extends CacheTile {
  readonly heads: number;
  /** Queries of each head. */
  readonly queries: number;
  readonly channels: number;
  readonly keyIndex: (head: number, channel: number) => number;
  readonly queryIndex: (lane: number, channel: number) => number;
}

/** The all-reduces of an attention, as stages: over the PEs of a head, then three over the rows. */
export interface AttentionSums {
  readonly scores: readonly Stage[];
  readonly maximum: readonly Stage[];
  readonly sum: readonly Stage[];
  readonly out: readonly Stage[];
}

const q = { register: 2 };
const value = { register: 3 };
/** Below every score. */
const lowest: Readonly<Record<VectorType, number>> = { fp32: -3e38, fp16: -60_000 };

/**
 * out = softmax(q · K) V over the cache, lane after lane, through the objects s [lanes, positions], most and sum
 * [lanes], out [lanes, channels] and those of `exponentialMemory`.
 * @param query the object that holds the queries, scaled
 * @param sinks the object with a score of each lane that brings no value; the exponential is longer by the lanes then
 */
export function attentionStages(tile: AttentionTile, query: string, sums: AttentionSums, sinks?: string): Stage[] {
  const { type, rows, heads, queries, channels } = tile;
  const other = tile.axis === 'x' ? 'y' : 'x';
  const most = rows.held(0);
  const lanes = Array.from({ length: heads * queries }, (_, lane) => lane);
  const headOf = (lane: number): number => Math.floor(lane / queries);
  const vector = vectorsOf(type);
  const scalar = scalarsOf(type);
  /** Rows with as many positions do the same. */
  const byHeld = (workFor: (held: number, isFirst: boolean) => Work): WorkStage => {
    const known = new Map<string, Work>();
    return byPosition(tile, other, (row) => {
      const [held, isFirst] = [rows.held(row), row === 0 && sinks !== undefined];
      const key = `${held} ${isFirst}`;
      const work = known.get(key) ?? workFor(held, isFirst);
      known.set(key, work);
      return work;
    });
  };
  const named = (entries: readonly (readonly [string, Dsd])[]): Record<string, Dsd> => Object.fromEntries(entries);
  const lanesOf = (object: string, held: number): Record<string, Dsd> =>
    named(lanes.map((lane) => [`${object}${lane}`, sliceOf({ object, offset: lane * most }, held)]));
  const singles = (object: string, held: number): Record<string, Dsd> =>
    named(lanes.map((lane) => [`${object}${lane}`, { ...single(object, held), offset: lane } as Dsd]));

  const nothing: Work = { dsds: {}, code: [] };
  const scores = byHeld((held) => {
    // Rows without positions pass sums on, and bring nothing to them.
    if (held === 0) return nothing;
    const keys = Array.from({ length: heads * channels }, (_, i): [string, Dsd] => [
      `k${i}`,
      sliceOf({ object: 'keys', offset: i * keyPitch(tile) }, held),
    ]);
    return {
      dsds: { ...lanesOf('s', held), ...named(keys) },
      code: lanes.flatMap((lane) =>
        Array.from({ length: channels }, (_, channel): Instruction[] => {
          const key = `k${tile.keyIndex(headOf(lane), channel)}`;
          const s = `s${lane}`;
          return [
            load(query, tile.queryIndex(lane, channel), q),
            channel === 0 ? vector('mul', s, key, q) : vector('mac', s, s, key, q),
          ];
        }).flat(),
      ),
    };
  });
  const localMaximum = byHeld((held) => ({
    dsds: held === 0 ? {} : { ...lanesOf('s', held), ...singles('most', held) },
    code: lanes.flatMap((lane) => [
      ...(sinks === undefined ? [store('most', lane, lowest[type])] : [load(sinks, lane, q), store('most', lane, q)]),
      ...(held === 0 ? [] : [vector('max', `most${lane}`, `most${lane}`, `s${lane}`)]),
    ]),
  }));
  // The first row adds the sinks' shares: they lie behind all scores.
  const tail = lanes.length * most;
  const exponentials = byHeld((held, isFirst) =>
    held === 0
      ? { dsds: {}, code: lanes.map((lane) => store('sum', lane, 0)) }
      : {
          // All lanes at once; what lies between them is of no account.
          dsds: {
            ...whole(
              isFirst ? tail + lanes.length : (lanes.length - 1) * most + held,
              'e',
              'e bits',
              'n',
              'n bits',
              'r',
            ),
            ...lanesOf('s', held),
            ...lanesOf('r', held),
            ...lanesOf('e', held),
            ...singles('sum', held),
          },
          code: [
            ...lanes.flatMap((lane) => [
              store('sum', lane, 0),
              load('most', lane, q),
              vector('sub', `r${lane}`, `s${lane}`, q),
              ...(isFirst && sinks !== undefined
                ? [load(sinks, lane, value), scalar('sub', value, value, q), store('r', tail + lane, value)]
                : []),
            ]),
            ...exponential('r', 1, type),
            ...(isFirst ? lanes.flatMap((lane) => [load('e', tail + lane, value), store('sum', lane, value)]) : []),
            ...lanes.map((lane) => vector('add', `sum${lane}`, `sum${lane}`, `e${lane}`)),
          ],
        },
  );
  const outLanes = named(
    lanes.map((lane) => [`out${lane}`, sliceOf({ object: 'out', offset: lane * channels }, channels)]),
  );
  const weighted = byHeld((held) =>
    held === 0
      ? { dsds: outLanes, code: lanes.map((lane) => vector('mov', `out${lane}`, 0)) }
      : {
          dsds: {
            ...outLanes,
            ...named(
              Array.from({ length: heads * held }, (_, i) => {
                const [head, slot] = [i % heads, Math.floor(i / heads)];
                const offset = slot * valuePitch(tile) + head * channels;
                return [`v${head} ${slot}`, sliceOf({ object: 'values', offset }, channels)];
              }),
            ),
          },
          code: lanes.flatMap((lane) =>
            Array.from({ length: held }, (_, slot): Instruction[] => {
              const [out, v] = [`out${lane}`, `v${headOf(lane)} ${slot}`];
              return [
                load('e', lane * most + slot, value),
                slot === 0 ? vector('mul', out, v, value) : vector('mac', out, out, v, value),
              ];
            }).flat(),
          ),
        },
  );
  const normalize = everywhere(
    tile,
    outLanes,
    lanes.flatMap((lane) => [
      load('sum', lane, value),
      scalar('div', value, 1, value),
      vector('mul', `out${lane}`, `out${lane}`, value),
    ]),
  );
  return [
    scores,
    ...sums.scores,
    localMaximum,
    ...sums.maximum,
    exponentials,
    ...sums.sum,
    weighted,
    ...sums.out,
    normalize,
  ];
}
