import { fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Collective } from '../collective/index.ts';
import { load, scalarsOf, store, vectorsOf } from '../machine/index.ts';
import { phase, type Phase } from '../phase.ts';
import type { Axis } from '../reduction.ts';
import { allReduceOf, along, type KernelContext } from './kernel.ts';
import { lowerAllReduce } from './lower/all-reduce.ts';
import { expVectors, exponential, exponentialMemory } from './lower/exponential.ts';
import { cutAlong, gatherAlong, loweredContext, single, whole } from './lower/lowering.ts';
import type { LoweredKernel, Placement } from './lower/lowering.ts';
import { byPosition, sequence, type Work } from './lower/sequence.ts';

/** A vector of `size` elements; every PE along the axis holds some of it. */
export interface SoftmaxSpec extends Placement {
  readonly size: number;
  readonly collective: Collective;
  /** PEs per group of the collective. */
  readonly group: number;
}

/**
 * The largest element of each PE, all-reduced; exponentials of what is less than it, and their sum, all-reduced; one
 * division, and a product by its outcome. As inside of attention, where scores lie over the rows.
 */
export function softmaxPhases(size: number, axis: Axis, context: KernelContext): readonly Phase[] {
  const { type } = context;
  const parts = along(axis, context);
  const length = Math.ceil(size / parts);
  const vectors = (count: number) => [{ count, length, type }];
  return [
    phase('maximum', { steps: 1, vectors: vectors(1) }),
    ...allReduceOf(parts, 1, axis, context),
    phase('exponential', { steps: 2, vectors: vectors(expVectors + 2) }),
    ...allReduceOf(parts, 1, axis, context),
    phase('normalize', { steps: 1, divisions: 1, vectors: vectors(1) }),
  ];
}

const held = { register: 2 };
/** Below every element. */
const lowest = { fp32: -3e38, fp16: -60_000 } as const;

/**
 * y = exp(x − max x) / Σ exp(x − max x), both [size] and cut along the axis.
 * @throws IngotError KERNEL_SHAPE where a PE along the axis would hold nothing
 */
export function lowerSoftmax(spec: SoftmaxSpec, wafer: Wafer): LoweredKernel {
  const { axis, type, size, collective, group } = spec;
  const parts = along(axis, spec);
  const length = Math.ceil(size / parts);
  const lengthAt = (position: number): number => Math.min(length, size - position * length);
  if (lengthAt(parts - 1) < 1)
    fail({
      code: 'KERNEL_SHAPE',
      message: `${size} elements in pieces of ${length} leave some of ${parts} PEs empty`,
      expected: 'a length that reaches the last PE',
    });
  const line = { parts, values: 1, type, group };
  const largest = lowerAllReduce(collective, line, axis, spec, 'most', wafer, 'max');
  const summed = lowerAllReduce(collective, line, axis, spec, 'sum', wafer);
  const vector = vectorsOf(type);
  /** PEs that hold as many elements do the same. */
  const each = (workFor: (elements: number) => Work) => {
    const known = new Map<number, Work>();
    return byPosition(spec, axis, (position) => {
      const elements = lengthAt(position);
      const work = known.get(elements) ?? workFor(elements);
      known.set(elements, work);
      return work;
    });
  };
  const program = sequence(
    spec,
    [
      { name: 'x', dtype: type, length, bank: 0 },
      ...exponentialMemory(length, type),
      { name: 'most', dtype: type, length: 1, bank: 7 },
      { name: 'sum', dtype: type, length: 1, bank: 3 },
    ],
    [
      each((n) => ({
        dsds: { ...whole(n, 'x'), most: single('most', n) },
        code: [store('most', 0, lowest[type]), vector('max', 'most', 'most', 'x')],
      })),
      ...largest.stages,
      each((n) => ({
        dsds: { ...whole(n, 'x', 'e', 'e bits', 'n', 'n bits', 'r'), sum: single('sum', n) },
        code: [
          store('sum', 0, 0),
          load('most', 0, held),
          vector('sub', 'r', 'x', held),
          ...exponential('r', 1, type),
          vector('add', 'sum', 'sum', 'e'),
        ],
      })),
      ...summed.stages,
      each((n) => ({
        dsds: whole(n, 'e'),
        code: [load('sum', 0, held), scalarsOf(type)('div', held, 1, held), vector('mul', 'e', 'e', held)],
      })),
    ],
    wafer,
  );
  return {
    program,
    phases: softmaxPhases(size, axis, loweredContext(spec, summed.phases)),
    *inputs({ x }) {
      yield* cutAlong(x, 'x', axis, spec);
    },
    readback: (memory) => gatherAlong(memory, 'e', axis, spec, size),
  };
}
