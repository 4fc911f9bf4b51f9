// A mixture of experts for one token as stages of a layer. Every expert lies over the whole mesh, so the token stays where
// it is: each PE gets all scores of the router, chooses by itself, and moves its DSDs to the tiles of the experts chosen.

import { expertOps, type MoeOp } from '../../model/index.ts';
import { gluStage } from '../kernel/stages.ts';
import { columnPitch, weightBank } from '../kernel/lower/columns.ts';
import { exponential, held } from '../kernel/lower/exponential.ts';
import { pesOfMesh, single, sliceOf, whole, type Tensors } from '../kernel/lower/lowering.ts';
import { everywhere, type Mesh, type Stage } from '../kernel/lower/sequence.ts';
import { branch, integer, label, load, scalarsOf, setDsd, store, vectorsOf } from '../machine/index.ts';
import type { Dsd, Instruction, MemoryImage } from '../machine/index.ts';
import type { VectorType } from '../phase.ts';
import type { Axis } from '../reduction.ts';
import { plainLayout, type Layout } from './layout.ts';

/** What a mixture needs of the layer that it is in. */
export interface MixtureOn extends Mesh {
  readonly type: VectorType;
  /** The objects of its input, cut along y, and of the router's scores, cut along x. */
  readonly input: string;
  readonly scores: string;
  object(name: string, length: number, bank: number): void;
  image(make: (tensors: Tensors) => Iterable<MemoryImage>): void;
  allReduce(axis: Axis, object: string, values: number): Stage[];
}

const [best, at, found, turn] = [{ register: 2 }, { register: 3 }, { register: 4 }, { register: 5 }];
/** Below every score. */
const lowest: Readonly<Record<VectorType, number>> = { fp32: -3e38, fp16: -60_000 };

/** Whether the PEs' way to choose is the op's: a softmax over all experts, without groups. */
export const isLoweredMixture = ({ routing }: MoeOp): boolean =>
  routing.score === 'softmax' && routing.groups === undefined && routing.bias !== 'choice';

/** Writes op.out, cut along y, into the object of that name. @returns the elements of its longest exponential */
export function mixtureStages(op: MoeOp, on: MixtureOn): { stages: Stage[]; layout: Layout; exponents: number } {
  const { type, width, height, object } = on;
  const { experts, activeExperts: active, expertFfn, expertBias } = op;
  const input = plainLayout('y', height, op.width);
  const inner = plainLayout('x', width, expertFfn);
  const scores = plainLayout('x', width, experts).tile;
  const [rows, tile] = [input.tile, inner.tile];
  // Of one expert: columns of gate and up side by side, and columns of down.
  const [pitchIn, pitchOut] = [columnPitch(2 * tile, type), columnPitch(rows, type)];

  object('all scores', experts + scores, 0);
  object('first expert', 1, 0);
  object('largest', 1, 7);
  object('chosen', active, 0);
  object('shares', active, 0);
  object('share sum', 1, 3);
  object('gates and ups', 2 * active * tile, 0);
  object('gated', active * tile, 2);
  object('expert outs', active * rows, 0);
  object(op.out, rows, 0);
  object('experts in', experts * rows * pitchIn, weightBank[type]);
  object('experts out', experts * tile * pitchOut, weightBank[type]);
  if (expertBias) {
    object('biases in', experts * 2 * tile, 4);
    object('biases out', experts * rows, 4);
  }

  on.image(function* () {
    // PEs without experts bring nothing, wherever they put it.
    for (const [x, y] of pesOfMesh(on, 'x'))
      yield { x, y, object: 'first expert', values: [x * scores < experts ? x * scores : 0] };
  });
  on.image(function* (tensors) {
    const parts = Array.from({ length: experts }, (_, expert) => {
      const { gate, up, down } = expertOps(op, expert);
      return [gate, up, down].map((linear) => ({
        weights: tensors[linear.weight],
        bias: linear.bias === undefined ? undefined : tensors[linear.bias],
      }));
    });
    for (const [x, y] of pesOfMesh(on, 'x')) {
      const [ks, ns] = [input.elements[y], inner.elements[x]];
      const into = new Float64Array(experts * rows * pitchIn);
      const out = new Float64Array(experts * tile * pitchOut);
      const biasIn = new Float64Array(experts * 2 * tile);
      const biasOut = new Float64Array(experts * rows);
      parts.forEach(([gate, up, down], expert) => {
        ns.forEach((n, j) => {
          if (n < 0) return;
          ks.forEach((k, i) => {
            if (k < 0) return;
            into[(expert * rows + i) * pitchIn + j] = gate.weights[n * op.width + k];
            into[(expert * rows + i) * pitchIn + tile + j] = up.weights[n * op.width + k];
            out[(expert * tile + j) * pitchOut + i] = down.weights[k * expertFfn + n];
          });
          biasIn[expert * 2 * tile + j] = gate.bias?.[n] ?? 0;
          biasIn[expert * 2 * tile + tile + j] = up.bias?.[n] ?? 0;
        });
        ks.forEach((k, i) => (biasOut[expert * rows + i] = k < 0 ? 0 : (down.bias?.[k] ?? 0)));
      });
      yield { x, y, object: 'experts in', values: into };
      yield { x, y, object: 'experts out', values: out };
      if (expertBias) {
        yield { x, y, object: 'biases in', values: biasIn };
        yield { x, y, object: 'biases out', values: biasOut };
      }
    }
  });

  const vector = vectorsOf(type);
  const scalar = scalarsOf(type);

  const gather = everywhere(
    on,
    {
      ...whole(experts, 'all scores'),
      own: { kind: 'memory', object: 'all scores', extents: [scores] },
      [on.scores]: sliceOf({ object: on.scores, offset: 0 }, scores),
    },
    [
      vector('mov', 'all scores', 0),
      load('first expert', 0, at),
      setDsd('own', 'offset', at),
      vector('mov', 'own', on.scores),
    ],
  );
  const exponents = everywhere(
    on,
    {
      ...whole(experts, 'all scores', 'e', 'e bits', 'n', 'n bits', 'r'),
      largest: single('largest', experts),
      sum: single('share sum', experts),
    },
    [
      store('largest', 0, lowest[type]),
      vector('max', 'largest', 'largest', 'all scores'),
      load('largest', 0, best),
      vector('sub', 'r', 'all scores', best),
      ...exponential('r', 1, type),
      ...(op.routing.normalize ? [] : [store('share sum', 0, 0), vector('add', 'sum', 'sum', 'e')]),
    ],
  );
  // The largest of what is left, the first of equals, as often as experts are active.
  const choose = everywhere(
    on,
    { shares: sliceOf({ object: 'shares', offset: 0 }, active), sum: single('share sum', active) },
    [
      integer('mov', turn, 0),
      label('round'),
      load('all scores', 0, best),
      integer('mov', at, 0),
      ...Array.from({ length: experts - 1 }, (_, i): Instruction[] => [
        load('all scores', i + 1, found),
        branch(best, '>=', found, `not ${i + 1}`),
        scalar('mov', best, found),
        integer('mov', at, i + 1),
        label(`not ${i + 1}`),
      ]).flat(),
      store('all scores', at, lowest[type]),
      load('e', at, found),
      store('shares', turn, found),
      store('chosen', turn, at),
      integer('add', turn, turn, 1),
      branch(turn, '<', active, 'round'),
      ...(op.routing.normalize ? [store('share sum', 0, 0), vector('add', 'sum', 'sum', 'shares')] : []),
      load('share sum', 0, found),
      scalar('div', found, held(op.routing.scale, type), found),
      vector('mul', 'shares', 'shares', found),
    ],
  );

  /** Of each chosen expert, its columns times its inputs; outputs of expert `slot` where `to` says. */
  const experted = (
    names: { readonly w: string; readonly bias: string; readonly x: string },
    shape: { readonly columns: number; readonly pitch: number; readonly length: number },
    inputOf: (slot: number, column: number) => number,
    to: (slot: number) => Dsd,
  ): { readonly multiply: Stage; readonly bias: readonly Stage[] } => {
    const { columns, pitch, length } = shape;
    const slots = Array.from({ length: active }, (_, slot) => slot);
    const outs = Object.fromEntries(slots.map((slot) => [`y${slot}`, to(slot)]));
    const moving: Dsd = { kind: 'memory', object: names.w, extents: [length] };
    const multiply = everywhere(
      on,
      { ...outs, column: moving },
      slots.flatMap((slot) => [
        load('chosen', slot, at),
        integer('mul', at, at, columns * pitch),
        setDsd('column', 'offset', at),
        ...Array.from({ length: columns }, (_, column): Instruction[] => [
          load(names.x, inputOf(slot, column), best),
          column === 0
            ? vector('mul', `y${slot}`, 'column', best)
            : vector('mac', `y${slot}`, `y${slot}`, 'column', best),
          ...(column === columns - 1 ? [] : [setDsd('column', 'shift', pitch)]),
        ]).flat(),
      ]),
    );
    if (!expertBias) return { multiply, bias: [] };
    const bias = everywhere(
      on,
      { ...outs, bias: { ...moving, object: names.bias } },
      slots.flatMap((slot) => [
        load('chosen', slot, at),
        integer('mul', at, at, length),
        setDsd('bias', 'offset', at),
        vector('add', `y${slot}`, `y${slot}`, 'bias'),
      ]),
    );
    return { multiply, bias: [bias] };
  };
  const into = experted(
    { w: 'experts in', bias: 'biases in', x: on.input },
    { columns: rows, pitch: pitchIn, length: 2 * tile },
    (_, column) => column,
    // Gates of all experts, then ups.
    (slot) => ({
      kind: 'memory',
      object: 'gates and ups',
      offset: slot * tile,
      extents: [2, tile],
      strides: [active * tile, 1],
    }),
  );
  const outOf = experted(
    { w: 'experts out', bias: 'biases out', x: 'gated' },
    { columns: tile, pitch: pitchOut, length: rows },
    (slot, column) => slot * tile + column,
    (slot) => sliceOf({ object: 'expert outs', offset: slot * rows }, rows),
  );
  const outs = Object.fromEntries(
    Array.from({ length: active }, (_, slot) => [
      `y${slot}`,
      sliceOf({ object: 'expert outs', offset: slot * rows }, rows),
    ]),
  );
  const weigh = everywhere(
    on,
    { ...outs, ...whole(rows, op.out) },
    Array.from({ length: active }, (_, slot): Instruction[] => [
      load('shares', slot, best),
      slot === 0 ? vector('mul', op.out, 'y0', best) : vector('mac', op.out, op.out, `y${slot}`, best),
    ]).flat(),
  );
  return {
    stages: [
      gather,
      ...on.allReduce('x', 'all scores', experts),
      exponents,
      choose,
      into.multiply,
      ...on.allReduce('y', 'gates and ups', 2 * active * tile),
      ...into.bias,
      gluStage(
        on,
        active * tile,
        {
          gate: { object: 'gates and ups', offset: 0 },
          up: { object: 'gates and ups', offset: active * tile },
          y: 'gated',
        },
        op.activation,
      ),
      outOf.multiply,
      ...on.allReduce('x', 'expert outs', active * rows),
      ...outOf.bias,
      weigh,
    ],
    layout: input,
    exponents: Math.max(experts, active * tile),
  };
}
