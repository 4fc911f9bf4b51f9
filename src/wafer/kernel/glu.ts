import { clampedSilu, type GluOp } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { load, scalarsOf, store, type Instruction } from '../machine/index.ts';
import { phase } from '../phase.ts';
import { along, type Kernel } from './kernel.ts';
import { exponential, exponentialMemory, vectorsHolding } from './lower/exponential.ts';
import { cutAlong, gatherAlong, loweredContext, sliceOf, whole } from './lower/lowering.ts';
import type { LoweredKernel, Placement, Slice } from './lower/lowering.ts';
import { everywhere, sequence, type Mesh, type Stage } from './lower/sequence.ts';

/**
 * Beside the exponential: 1 + e^-u and the product with up; tanh-GELU has a cubic argument besides, and the clamped unit
 * three bounds, a slope and an addition.
 */
const vectorsBesideExp: Readonly<Record<GluOp['activation'], number>> = { silu: 2, 'gelu-tanh': 4, 'clamped-silu': 7 };

/**
 * activation(gate) · up: an exponential, an addition, a scalar division for each element, and a product. The loads and
 * the store around a division are taken as part of its "about 50" cycles. GELU in its tanh form is gate · sigmoid(2 u)
 * with u = sqrt(2 / pi) (gate + 0.044715 gate^3), so it needs three vector instructions more, one of them a square.
 */
export const glu: Kernel<GluOp> = {
  phases: (op, axis, context) => {
    const { type, expVectors } = context;
    const length = Math.ceil(op.width / along(axis, context)) * context.tokens;
    const square = { count: 1, length, type, sameBank: true };
    return [
      phase('activation', {
        divisions: length,
        vectors: [
          { count: expVectors + vectorsBesideExp[op.activation], length, type },
          ...(op.activation === 'gelu-tanh' ? [square] : []),
        ],
      }),
    ];
  },
};

const geluOuter = 2 * Math.sqrt(2 / Math.PI);
const geluCubic = 0.044715;

/** y = activation(gate) · up on a PE, through the objects of `exponentialMemory`; a clamped unit bounds gate and up in place. */
export function gluStage(
  mesh: Mesh & Pick<Placement, 'type'>,
  length: number,
  { gate, up, y }: { readonly gate: Slice; readonly up: Slice; readonly y: string },
  activation: GluOp['activation'],
): Stage {
  const { type } = mesh;
  const scalar = scalarsOf(type);
  const [x, denominator] = [{ register: 2 }, { register: 3 }];
  const vector = vectorsHolding(type);
  const { slope, limit } = clampedSilu;
  const argument = {
    silu: [],
    'gelu-tanh': [
      vector('mul', 'e', 'gate', 'gate'),
      vector('mac', 'e', geluOuter, 'e', geluOuter * geluCubic),
      vector('mul', 'r', 'gate', 'e'),
    ],
    'clamped-silu': [
      vector('min', 'gate', 'gate', limit),
      vector('max', 'up', 'up', -limit),
      vector('min', 'up', 'up', limit),
      vector('add', 'up', 'up', 1),
      vector('mul', 'r', 'gate', slope),
    ],
  }[activation];
  return everywhere(
    mesh,
    {
      gate: sliceOf(gate, length),
      up: sliceOf(up, length),
      ...whole(length, y, 'e', 'e bits', 'n', 'n bits', 'r'),
    },
    [
      ...argument,
      ...exponential(argument.length === 0 ? 'gate' : 'r', -1, type),
      vector('add', 'e', 'e', 1),
      ...Array.from({ length }, (_, index): Instruction[] => [
        load(gate.object, gate.offset + index, x),
        load('e', index, denominator),
        scalar('div', x, x, denominator),
        store('e', index, x),
      ]).flat(),
      vector('mul', y, 'up', 'e'),
    ],
  );
}

/** Of a vector by itself, cut along an axis. */
export interface GluSpec extends Placement {
  readonly size: number;
  /** Default SiLU. */
  readonly activation?: GluOp['activation'];
}

/** y = activation(gate) · up, all [size] and cut along the axis. */
export function lowerGlu(spec: GluSpec, wafer: Wafer): LoweredKernel {
  const { axis, type, size, activation = 'silu' } = spec;
  const length = Math.ceil(size / along(axis, spec));
  const program = sequence(
    spec,
    [
      { name: 'gate', dtype: type, length, bank: 0 },
      { name: 'up', dtype: type, length, bank: 0 },
      { name: 'y', dtype: type, length },
      ...exponentialMemory(length, type),
    ],
    [
      gluStage(
        spec,
        length,
        { gate: { object: 'gate', offset: 0 }, up: { object: 'up', offset: 0 }, y: 'y' },
        activation,
      ),
    ],
    wafer,
  );
  return {
    program,
    phases: glu.phases(
      { kind: 'glu', out: 'y', gate: 'gate', up: 'up', activation, width: size },
      axis,
      loweredContext(spec),
    ),
    *inputs({ gate, up }) {
      yield* cutAlong(gate, 'gate', axis, spec);
      yield* cutAlong(up, 'up', axis, spec);
    },
    readback: (memory) => gatherAlong(memory, 'y', axis, spec, size),
  };
}
