// The law of the written-out steps on the fabric: no cycle, count or bit differs from what the rules give that know
// every operand, which `stepByStep` goes by.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createRng, type Rng } from '../../core/index.ts';
import { allocate, createState, resolveProgram } from '../../wafer/machine/index.ts';
import type { Dtype, Dsd, MachineProgram, MemoryImage, Role, VectorOp } from '../../wafer/machine/index.ts';
import { bankCycles, stepCycles, timingOf } from './timing.ts';
import { simulate } from './simulate.ts';
import { eastward, machine, main, queues, role, wse2 } from './testing/programs.ts';

const room = 40;
const pick = <T>(rng: Rng, list: readonly T[]): T => list[rng.u32() % list.length];

/** A message that PE 0 sends, PE 1 passes on, and PE 2 takes, each in one of the ways that flow. */
function relay(seed: number): { readonly program: MachineProgram; readonly inputs: readonly MemoryImage[] } {
  const rng = createRng(seed);
  const dtype = pick(rng, ['fp16', 'fp16', 'fp32'] as const);
  const length = 1 + (rng.u32() % 13);
  const ops = ['mov', 'add', 'max'] as const;
  const ways = [
    { outputs: [0], inputs: [], op: pick(rng, ops) },
    { outputs: [1], inputs: [0], op: pick(rng, ops) },
    { outputs: [], inputs: [1], op: pick(rng, ops) },
  ];
  return {
    program: machine(
      3,
      1,
      [...eastward(0, 0, 1), ...eastward(1, 1, 2)],
      ways.map((way, x) => [x, 0, body(rng, dtype, length, way)] as const),
    ),
    inputs: [0, 1, 2].map((x) => ({
      x,
      y: 0,
      object: 'x',
      values: Array.from({ length: room }, () =>
        rng.u32() % 9 === 0 ? pick(rng, [0, -0, Infinity, -Infinity, NaN, 65504, 2 ** -24]) : rng.normal() * 30,
      ),
    })),
  };
}

interface Way {
  readonly outputs: readonly number[];
  readonly inputs: readonly number[];
  readonly op: VectorOp;
}

function body(rng: Rng, dtype: Dtype, length: number, { outputs, inputs, op }: Way): Role {
  const view = (): Dsd => {
    const stride = pick(rng, [1, 1, 1, -1, 2, 0]);
    const span = Math.abs(stride) * (length - 1);
    const low = rng.u32() % (room - span);
    return {
      kind: 'memory',
      object: 'x',
      offset: stride < 0 ? low + span : low,
      extents: [length],
      strides: [stride],
    };
  };
  const [inside, beside, to] = [view(), view(), view()];
  const sources = [...inputs.map(() => 'in'), 'inside', 'beside'].slice(0, op === 'mov' ? 1 : 2);
  const moves = rng.u32() % 2 === 0;
  return role({
    memory: allocate([{ name: 'x', dtype, length: room, bank: rng.u32() % 4 }], wse2),
    outputs: queues(...outputs),
    inputs: queues(...inputs),
    dsds: {
      inside,
      beside,
      to,
      ...(inputs.length > 0 && { in: { kind: 'fabricIn', color: inputs[0], length } as const }),
      ...(outputs.length > 0 && { out: { kind: 'fabricOut', color: outputs[0], length } as const }),
    },
    ...main(
      // A DSD that an instruction changes, to where it was.
      ...(moves ? [{ kind: 'dsd', set: 'shift', dsd: 'inside', value: 0 } as const] : []),
      {
        kind: 'vector',
        op,
        dtype,
        dst: outputs.length > 0 ? 'out' : 'to',
        src: rng.u32() % 2 === 0 ? sources : sources.toReversed(),
        ...(rng.u32() % 3 === 0 && { async: { thread: 0 } }),
      },
    ),
  });
}

it('a step takes what its words in the banks take', () => {
  const timing = timingOf(wse2);
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const m = createState(resolveProgram(relay(seed).program, wse2));
      const { roles, roleOf } = m.resolved;
      for (let pe = 0; pe < 3; pe++)
        for (const code of roles[roleOf[pe]].code)
          for (let from = 0; code.kind === 'vector' && from < code.dst.length; from++)
            for (const count of [1, Math.min(2, code.dst.length - from)])
              expect(stepCycles(m, pe, code, from, count, timing)).toBe(bankCycles(m, pe, code, from, count, timing));
    }),
  );
});

it('steps that flow are steps', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const { program, inputs } = relay(seed);
      const [flowing, stepping] = [false, true].map((stepByStep) => {
        const { cycles, counts, busy, links, read } = simulate(program, wse2, { inputs, engine: 'plain', stepByStep });
        return { cycles, counts, busy, links, values: [0, 1, 2].map((x) => read(x, 0, 'x')) };
      });
      expect(flowing).toEqual(stepping);
    }),
    { numRuns: 400 },
  );
});
