import type { RmsNormOp } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Collective } from '../collective/index.ts';
import type { Instruction } from '../machine/index.ts';
import { phase } from '../phase.ts';
import { allReduceOf, along, tileAlong } from './kernel.ts';
import type { Kernel } from './kernel.ts';
import { lowerAllReduce } from './lower/all-reduce.ts';
import { held } from './lower/exponential.ts';
import { cutAlong, gatherAlong, loweredContext, single, whole } from './lower/lowering.ts';
import type { LoweredKernel, Placement } from './lower/lowering.ts';
import { everywhere, sequence } from './lower/sequence.ts';
import type { Mesh, Stage } from './lower/sequence.ts';

/** Sum of squares on each PE, all-reduced along the axis (per head: only over the PEs of the head), then scaled. */
export const rmsnorm: Kernel<RmsNormOp> = {
  phases: (op, axis, context) => {
    const { tokens, type } = context;
    const parts = along(axis, context);
    const tile = tileAlong(op.input, op.width + (op.passed ?? 0), axis, context);
    const byHeads = context.lanes?.(op.input, parts);
    const partsPerGroup = byHeads?.headParts ?? Math.max(1, Math.min(parts, Math.ceil(op.width / op.groups / tile)));
    const sumsPerPe = byHeads?.lanes ?? Math.max(1, Math.ceil((tile * op.groups) / op.width));
    const values = tokens * tile;
    return [
      phase('squares', { steps: tokens * sumsPerPe, vectors: [{ count: 1, length: values, type, sameBank: true }] }),
      ...allReduceOf(partsPerGroup, tokens * sumsPerPe, axis, context),
      // Per sum: load, times 1 / width, plus epsilon, root, inverse. Then by the inverse and by the weight.
      phase('scale', {
        steps: 3 * tokens * sumsPerPe,
        divisions: 2 * tokens * sumsPerPe,
        vectors: [{ count: 2, length: values, type }],
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
  const { length, size, eps, type } = norm;
  const { x, w, sum, scaled, y } = objects;
  const scale = { register: 2 };
  const scalar = (op: 'mul' | 'add' | 'sqrt' | 'div', ...src: (number | typeof scale)[]): Instruction => ({
    kind: 'scalar',
    op,
    dtype: type,
    dst: scale,
    src,
  });
  return [
    everywhere(norm, { ...whole(length, x), [sum]: single(sum, length) }, [
      { kind: 'store', object: sum, index: 0, src: 0 },
      { kind: 'vector', op: 'mac', dtype: type, dst: sum, src: [sum, x, x] },
    ]),
    ...summed,
    everywhere(norm, whole(length, x, w, scaled, y), [
      { kind: 'load', object: sum, index: 0, dst: scale },
      scalar('mul', scale, held(1 / size, type)),
      scalar('add', scale, held(eps, type)),
      scalar('sqrt', scale),
      scalar('div', 1, scale),
      { kind: 'vector', op: 'mul', dtype: type, dst: scaled, src: [x, scale] },
      { kind: 'vector', op: 'mul', dtype: type, dst: y, src: [scaled, w] },
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
