// The largest values of a vector and where they are: greedy sampling (k = 1), top-k sampling, choice of experts.

import { fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Collective } from '../collective/index.ts';
import { branch, label, load, scalarsOf, store, vectorsOf } from '../machine/index.ts';
import { phase, type Phase } from '../phase.ts';
import type { Axis } from '../reduction.ts';
import { allReduceOf, along, type KernelContext } from './kernel.ts';
import { lowerAllReduce } from './lower/all-reduce.ts';
import { cutAlong, loweredContext, pesOfMesh, positionAlong, single, whole } from './lower/lowering.ts';
import type { LoweredKernel, Placement } from './lower/lowering.ts';
import { everywhere, sequence, type Stage } from './lower/sequence.ts';

/**
 * The k largest of `size` values cut along the axis, one after another: the largest, by an all-reduce of maxima;
 * the lowest place at which it stands, by another; and the PE that holds it takes it out.
 */
export function topK(size: number, k: number, axis: Axis, context: KernelContext): Phase[] {
  const parts = along(axis, context);
  const length = Math.ceil(size / parts);
  const { type } = context;
  const round = [
    phase('largest', { steps: 1, vectors: [{ count: 1, length, type }] }),
    ...allReduceOf(parts, 1, axis, context),
    phase('place', { steps: 2, vectors: [{ count: 6, length, type }] }),
    ...allReduceOf(parts, 1, axis, context),
    phase('take', { steps: 10 }),
  ];
  return round.map((p) => ({ ...p, repeat: p.repeat * k }));
}

/** Places below this are exact in fp32. */
const placesHeld = 2 ** 24;
/** Below every logit, and apart from places. */
const lowest = -3e38;
/** Twice times this, the smallest difference of two fp32 values is beyond every place. */
const magnify = 2 ** 100;
const beyond = -(2 ** 30);

export interface TopKSpec extends Omit<Placement, 'type'> {
  readonly size: number;
  readonly k: number;
  /** Runs 2 k times over the same lines, so one whose routes have no switches. */
  readonly collective: Collective;
  readonly group: number;
}

/**
 * Works on fp32, whose integers hold the places. There is no comparison of vectors: the difference to the largest
 * value is 0 where that stands and, magnified and clamped, far below 0 elsewhere; adding minus the place and
 * taking the largest sum gives minus the lowest place.
 *
 * The outcome is the k values, largest first, then their places; equal values in order of place.
 */
export function lowerTopK(spec: TopKSpec, wafer: Wafer): LoweredKernel {
  const { axis, size, k, collective, group } = spec;
  if (!(k >= 1 && k <= size && size <= placesHeld))
    fail({
      code: 'KERNEL_SHAPE',
      message: `the ${k} largest of ${size} values`,
      expected: `1 to as many as there are, of at most ${placesHeld} values`,
    });
  const type = 'fp32';
  const parts = along(axis, spec);
  const length = Math.ceil(size / parts);
  const line = { parts, values: 1, type, group } as const;
  const largest = lowerAllReduce(collective, line, axis, spec, 'largest', wafer, 'max');
  const place = lowerAllReduce(collective, line, axis, spec, 'place', wafer, 'max');
  const [value, minusPlace, own] = [{ register: 2 }, { register: 3 }, { register: 4 }];
  const vector = vectorsOf(type);
  const scalar = scalarsOf(type);
  const round = (index: number): Stage[] => [
    everywhere(spec, { ...whole(length, 'x'), largest: single('largest', length) }, [
      store('largest', 0, lowest),
      vector('max', 'largest', 'largest', 'x'),
    ]),
    ...largest.stages,
    everywhere(spec, { ...whole(length, 'x', 'rank', 'minus places'), place: single('place', length) }, [
      store('place', 0, lowest),
      load('largest', 0, value),
      vector('sub', 'rank', 'x', value),
      vector('mul', 'rank', 'rank', magnify),
      vector('mul', 'rank', 'rank', magnify),
      vector('max', 'rank', 'rank', beyond),
      vector('add', 'rank', 'rank', 'minus places'),
      vector('max', 'place', 'place', 'rank'),
    ]),
    ...place.stages,
    everywhere(spec, {}, [
      load('largest', 0, value),
      store('values', index, value),
      load('place', 0, minusPlace),
      scalar('mul', minusPlace, minusPlace, -1),
      store('places', index, minusPlace),
      load('first place', 0, own),
      scalar('sub', own, minusPlace, own),
      branch(own, '<', 0, 'elsewhere'),
      branch(own, '>=', length, 'elsewhere'),
      store('x', own, lowest),
      label('elsewhere'),
    ]),
  ];
  const program = sequence(
    spec,
    [
      { name: 'x', dtype: type, length, bank: 0 },
      { name: 'minus places', dtype: type, length, bank: 0 },
      { name: 'rank', dtype: type, length, bank: 4 },
      { name: 'largest', dtype: type, length: 1, bank: 7 },
      { name: 'place', dtype: type, length: 1, bank: 3 },
      { name: 'first place', dtype: type, length: 1 },
      { name: 'values', dtype: type, length: k },
      { name: 'places', dtype: type, length: k },
    ],
    Array.from({ length: k }, (_, index) => round(index)).flat(),
    wafer,
  );
  return {
    program,
    phases: topK(size, k, axis, loweredContext({ ...spec, type }, largest.phases)),
    *inputs({ x }) {
      // What fills the last tile stands behind everything.
      const padded = Float64Array.from({ length: length * parts }, (_, i) => (i < size ? x[i] : lowest));
      yield* cutAlong(padded, 'x', axis, spec);
      yield* cutAlong(
        padded.map((_, i) => -i),
        'minus places',
        axis,
        spec,
      );
      for (const [px, py] of pesOfMesh(spec))
        yield { x: px, y: py, object: 'first place', values: [positionAlong(axis, px, py) * length] };
    },
    readback: (memory) => Float64Array.from([...memory.read(0, 0, 'values'), ...memory.read(0, 0, 'places')]),
  };
}
