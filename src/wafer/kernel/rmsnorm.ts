import type { RmsNormOp } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Collective } from '../collective/index.ts';
import { load, scalarsOf, store, vectorsOf, type Dsd, type Instruction } from '../machine/index.ts';
import { phase } from '../phase.ts';
import { allReduceOf, along, tileAlong, type Kernel } from './kernel.ts';
import { lowerAllReduce } from './lower/all-reduce.ts';
import { held } from './lower/exponential.ts';
import { cutAlong, gatherAlong, loweredContext, single, whole } from './lower/lowering.ts';
import type { LoweredKernel, Placement, Slice } from './lower/lowering.ts';
import { everywhere, sequence, type Mesh, type Stage } from './lower/sequence.ts';

/** Sum of squares on each PE, all-reduced along the axis (per head: only over the PEs of the head), then scaled. */
export const rmsnorm: Kernel<RmsNormOp> = {
  phases: (op, axis, context) => {
    const { tokens, type } = context;
    const parts = along(axis, context);
    const tile = tileAlong(op.input, op.width + (op.passed ?? 0), axis, context);
    const byHeads = context.lanes?.(op.input, parts);
    // The sum of a whole row goes over the whole line, PEs with padding included.
    const isWhole = op.groups === 1 && op.passed === undefined;
    const partsPerGroup =
      byHeads?.sumParts ?? (isWhole ? parts : Math.max(1, Math.min(parts, Math.ceil(op.width / op.groups / tile))));
    const sumsPerPe = byHeads?.lanes ?? Math.max(1, Math.ceil((tile * op.groups) / op.width));
    const values = tokens * tile;
    // Heads have instructions of their own.
    const each =
      byHeads === undefined ? { count: 1, length: values } : { count: tokens * sumsPerPe, length: tile / sumsPerPe };
    return [
      phase('squares', { steps: tokens * sumsPerPe, vectors: [{ ...each, type, sameBank: true }] }),
      ...allReduceOf(partsPerGroup, tokens * sumsPerPe, axis, context),
      // Per sum: load, times 1 / width, plus epsilon, root, inverse. Then by the inverse and by the weight.
      phase('scale', {
        steps: 3 * tokens * sumsPerPe,
        divisions: 2 * tokens * sumsPerPe,
        vectors: [
          { ...each, type },
          { count: 1, length: values, type },
        ],
      }),
    ];
  },
};

export interface RmsNormSpec extends Placement {
  readonly size: number;
  readonly eps: number;
  readonly collective: Collective;
  /** PEs per group of the collective. */
  readonly group: number;
}

/** Memory objects of a norm, all of one length but the sum. */
export type NormObjects = Readonly<Record<'x' | 'w' | 'sum' | 'scaled' | 'y', string>>;

/** @param summed the all-reduce of the sum of squares; the sum lies in one element of its own */
export function rmsNormStages(
  norm: Mesh & Pick<RmsNormSpec, 'size' | 'eps' | 'type'> & { readonly length: number },
  objects: NormObjects,
  summed: readonly Stage[],
): Stage[] {
  const { length, type } = norm;
  const { x, w, sum, scaled, y } = objects;
  const vector = vectorsOf(type);
  return [
    everywhere(norm, { ...whole(length, x), [sum]: single(sum, length) }, [
      store(sum, 0, 0),
      vector('mac', sum, sum, x, x),
    ]),
    ...summed,
    everywhere(norm, whole(length, x, w, scaled, y), [
      ...inverseRoot(norm, sum, 0),
      vector('mul', scaled, x, inverse),
      vector('mul', y, scaled, w),
    ]),
  ];
}

const inverse = { register: 2 };

/** inverse = 1 / sqrt(sum / size + eps) */
function inverseRoot(
  { size, eps, type }: Pick<RmsNormSpec, 'size' | 'eps' | 'type'>,
  object: string,
  index: number,
): Instruction[] {
  const scalar = scalarsOf(type);
  return [
    load(object, index, inverse),
    scalar('mul', inverse, inverse, held(1 / size, type)),
    scalar('add', inverse, inverse, held(eps, type)),
    scalar('sqrt', inverse, inverse),
    scalar('div', inverse, 1, inverse),
  ];
}

/**
 * A norm of each head by itself. A PE holds of each of its `lanes` heads a run in the first half of x and one in the second;
 * w lies alike, repeated for each.
 * @param x where the vector begins; the other objects are whole. `sums` has one element a head
 * @param summed the all-reduce of the sums of squares over the PEs of a head
 */
export function headNormStages(
  norm: Mesh & Pick<RmsNormSpec, 'size' | 'eps' | 'type'> & { readonly lanes: number; readonly channels: number },
  { x, ...objects }: Readonly<Record<'w' | 'sums' | 'scaled' | 'y', string>> & { readonly x: Slice },
  summed: readonly Stage[],
): Stage[] {
  const { lanes, channels, type } = norm;
  const { w, sums, scaled, y } = objects;
  const vector = vectorsOf(type);
  const half = channels / 2;
  const runs = { extents: [2, half], strides: [lanes * half, 1] };
  const each = (code: (lane: number) => Instruction[]): Instruction[] =>
    Array.from({ length: lanes }, (_, lane) => code(lane)).flat();
  const dsds: Record<string, Dsd> = {};
  for (let lane = 0; lane < lanes; lane++) {
    dsds[`x${lane}`] = { kind: 'memory', object: x.object, offset: x.offset + lane * half, ...runs };
    dsds[`scaled${lane}`] = { kind: 'memory', object: scaled, offset: lane * half, ...runs };
    dsds[`sum${lane}`] = { kind: 'memory', object: sums, offset: lane, extents: [2, half], strides: [0, 0] };
  }
  return [
    everywhere(
      norm,
      dsds,
      each((lane) => [store(sums, lane, 0), vector('mac', `sum${lane}`, `sum${lane}`, `x${lane}`, `x${lane}`)]),
    ),
    ...summed,
    everywhere(norm, { ...dsds, ...whole(lanes * channels, w, scaled, y) }, [
      ...each((lane) => [...inverseRoot(norm, sums, lane), vector('mul', `scaled${lane}`, `x${lane}`, inverse)]),
      vector('mul', y, scaled, w),
    ]),
  ];
}

/**
 * y = x / rms(x) · w over the whole row, all [size] and cut along the axis. The mean is the sum times 1 / size,
 * which saves a division; where size is no power of two that may differ from the reference by one rounding.
 */
export function lowerRmsNorm(spec: RmsNormSpec, wafer: Wafer): LoweredKernel {
  const { axis, type, size, eps } = spec;
  const parts = along(axis, spec);
  const length = Math.ceil(size / parts);
  const line = { parts, values: 1, type, group: spec.group };
  const summed = lowerAllReduce(spec.collective, line, axis, spec, 'sum', wafer);
  const program = sequence(
    spec,
    [
      { name: 'x', dtype: type, length, bank: 0 },
      { name: 'w', dtype: type, length, bank: 4 },
      { name: 'scaled', dtype: type, length, bank: 0 },
      { name: 'y', dtype: type, length },
      // Met by x in its bank only every eighth word.
      { name: 'sum', dtype: type, length: 1, bank: 7 },
    ],
    rmsNormStages({ ...spec, length }, { x: 'x', w: 'w', sum: 'sum', scaled: 'scaled', y: 'y' }, summed.stages),
    wafer,
  );
  return {
    program,
    phases: rmsnorm.phases(
      { kind: 'rmsnorm', out: 'y', input: 'x', weight: 'w', width: size, groups: 1, eps },
      axis,
      loweredContext(spec, summed.phases),
    ),
    *inputs({ x, w }) {
      yield* cutAlong(x, 'x', axis, spec);
      yield* cutAlong(w, 'w', axis, spec);
    },
    readback: (memory) => gatherAlong(memory, 'y', axis, spec, size),
  };
}
