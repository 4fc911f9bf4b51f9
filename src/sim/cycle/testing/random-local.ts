// Random programs for the law that going ahead changes nothing: a row of three PEs. Each works through random
// instructions on its own SRAM and registers, some of them microthreads; between them the first sends to the
// second, which takes some words by a vector instruction and some by a data task, and passes them on.
import { createRng, type Rng } from '../../../core/index.ts';
import { allocate } from '../../../wafer/machine/index.ts';
import type {
  Dtype,
  Dsd,
  Instruction,
  MachineProgram,
  MemoryImage,
  Role,
  VectorOp,
} from '../../../wafer/machine/index.ts';
import { eastward, machine, queues, role, wse2 } from './programs.ts';

export interface LocalProgram {
  readonly program: MachineProgram;
  readonly inputs: readonly MemoryImage[];
}

const length = 48;
const dtypes = ['fp16', 'fp32', 'i16', 'i32'] as const;
const ops = { mov: 1, convert: 1, add: 2, sub: 2, mul: 2, max: 2, min: 2, mac: 3 } as const satisfies Record<
  VectorOp,
  number
>;
const registers = 4;

/** Objects that a program's outcome consists of; `bits` shows the fp16 numbers bit by bit. */
export const localObjects = [...dtypes, 'bits', 'took', 'stamps'] as const;

/** @param oneByOne without microthreads and data tasks: each CE does one thing after another */
export function localProgram(seed: number, oneByOne = false): LocalProgram {
  const rng = createRng(seed);
  const words = 1 + (rng.u32() % 12);
  const roles = [0, 1, 2].map((x) => body(rng, x, words, oneByOne));
  return {
    program: machine(
      3,
      1,
      [...eastward(0, 0, 1), ...eastward(1, 0, 1), ...eastward(2, 1, 2)],
      roles.map((each, x) => [x, 0, each] as const),
    ),
    inputs: [0, 1, 2].flatMap((x) =>
      dtypes.map((object) => ({ x, y: 0, object, values: Array.from({ length }, () => numberOf(rng, object)) })),
    ),
  };
}

const pick = <T>(rng: Rng, list: readonly T[]): T => list[rng.u32() % list.length];

/** Mostly ordinary numbers, and some that overflow, vanish, or are no numbers. */
function numberOf(rng: Rng, dtype: Dtype): number {
  if (dtype === 'i16' || dtype === 'i32') return (rng.u32() % 4001) - 2000;
  const odd = rng.u32() % 12;
  if (odd === 0) return pick(rng, [0, -0, Infinity, -Infinity, NaN, 65504, -65504, 2 ** -24, -(2 ** -24)]);
  return (rng.uniform() - 0.5) * 2 ** ((rng.u32() % 12) - 4);
}

function body(rng: Rng, x: number, words: number, oneByOne: boolean): Role {
  const outputs = [[0, 1], [2], []][x];
  const dsds: Record<string, Dsd> = {
    ...Object.fromEntries(
      outputs.map((color) => [`out${color}`, { kind: 'fabricOut', color, length: words } as const]),
    ),
    ...(x === 0 ? {} : { [`in${2 * x - 2}`]: { kind: 'fabricIn', color: 2 * x - 2, length: words } as const }),
    ...(x === 1 && oneByOne ? { in1: { kind: 'fabricIn', color: 1, length: words } as const } : {}),
    part: { kind: 'memory', object: 'fp32', extents: [words] },
    took: { kind: 'memory', object: 'took', extents: [words] },
  };
  let threads = 3;
  /** A DSD of n elements somewhere in an object of the type. */
  const view = (dtype: Dtype, n: number): string => {
    const name = `d${Object.keys(dsds).length}`;
    const stride = pick(rng, [1, 1, 1, 2, 3, 0, -1]);
    const span = Math.abs(stride) * (n - 1);
    const low = rng.u32() % (length - span);
    const offset = stride < 0 ? low + span : low;
    const twoD = n % 2 === 0 && rng.u32() % 6 === 0;
    dsds[name] = twoD
      ? { kind: 'memory', object: dtype, offset, extents: [n / 2, 2], strides: [2 * stride, stride] }
      : { kind: 'memory', object: dtype, offset, extents: [n], strides: [stride] };
    return name;
  };
  const source = () => (rng.u32() % 2 === 0 ? { register: rng.u32() % registers } : numberOf(rng, 'fp16'));
  const vector = (): Instruction[] => {
    const dtype = pick(rng, dtypes);
    const op = pick(rng, Object.keys(ops) as VectorOp[]);
    const from = op === 'convert' ? pick(rng, dtypes) : dtype;
    const n = 1 + (rng.u32() % 16);
    const dst = view(dtype, n);
    const src = Array.from({ length: ops[op] }, (_, i) => (i > 0 && rng.u32() % 2 === 0 ? source() : view(from, n)));
    const shifted = src.find((s) => typeof s === 'string');
    const before: Instruction[] =
      rng.u32() % 8 === 0 && shifted !== undefined ? [{ kind: 'dsd', set: 'offset', dsd: shifted, value: 16 }] : [];
    // Offsets of 16 leave room for 16 elements backwards or, with strides up to 2, forwards.
    const dsd = shifted === undefined ? undefined : dsds[shifted];
    const fits =
      dsd?.kind === 'memory' && Math.abs(dsd.strides?.[dsd.extents.length - 1] ?? 1) <= 2 && dsd.extents.length === 1;
    const async = rng.u32() % 6 === 0 && threads < 7 && !oneByOne ? { async: { thread: threads++ } } : {};
    return [
      ...(fits ? before : []),
      { kind: 'vector', op, dtype, ...(op === 'convert' ? { from } : {}), dst, src, ...async },
    ];
  };
  let stamps = 0;
  const some = (): Instruction[] =>
    Array.from({ length: rng.u32() % 8 }, (): Instruction[] => {
      const register = { register: rng.u32() % registers };
      switch (rng.u32() % 6) {
        case 0:
          return [{ kind: 'load', object: 'fp16', index: rng.u32() % length, dst: register }];
        case 1:
          return [{ kind: 'store', object: 'fp32', index: rng.u32() % length, src: register }];
        case 2:
          return [
            {
              kind: 'scalar',
              op: pick(rng, ['add', 'mul', 'div'] as const),
              dtype: 'fp32',
              dst: register,
              src: [register, 3],
            },
          ];
        case 3:
          return stamps < 8 ? [{ kind: 'timestamp', object: 'stamps', index: stamps++ }] : [];
        default:
          return vector();
      }
    }).flat();
  const send = (color: number, thread: number): Instruction => ({
    kind: 'vector',
    op: 'mov',
    dtype: 'fp32',
    dst: `out${color}`,
    src: [color === 2 ? 'took' : 'part'],
    ...(rng.u32() % 2 === 0 && !oneByOne ? { async: { thread } } : {}),
  });
  const take = (color: number): Instruction => ({
    kind: 'vector',
    op: 'add',
    dtype: 'fp32',
    dst: 'took',
    src: ['took', `in${color}`],
    ...(color === 2 && rng.u32() % 2 === 0 && !oneByOne ? { async: { thread: 0 } } : {}),
  });
  const messages = [[send(0, 0), send(1, 1)], [take(0), send(2, 2), ...(oneByOne ? [take(1)] : [])], [take(2)]][x];
  const code = [...some(), ...messages.flatMap((message) => [message, ...some()]), ...some()];
  if (x === 1) dsds['slides'] = { kind: 'memory', object: 'fp32', extents: [12] };
  // With every word the same instruction reads from other banks.
  const onWord: Instruction[] = [
    { kind: 'dsd', set: 'shift', dsd: 'slides', value: 1 },
    { kind: 'vector', op: 'add', dtype: 'fp32', dst: view('fp32', 12), src: ['slides', view('fp32', 12)] },
    ...some(),
  ];
  return role({
    memory: allocate(
      [
        ...dtypes.map((dtype) => ({ name: dtype, dtype, length, bank: rng.u32() % wse2.sramBanks })),
        { name: 'bits', dtype: 'i16', length, over: 'fp16' },
        { name: 'took', dtype: 'fp32', length: words },
        { name: 'stamps', dtype: 'i32', length: 8 },
      ],
      wse2,
    ),
    inputs: queues(...[[], [0, 1], [2]][x]),
    outputs: queues(...outputs),
    dsds,
    tasks: [
      { name: 'main', kind: 'local', id: 8, code: [...code, { kind: 'activate', task: 'again' }, ...some()] },
      { name: 'again', kind: 'local', id: 9, code: some() },
      ...(x === 1 && !oneByOne
        ? [{ name: 'word', kind: 'data', color: 1, dtype: 'fp32', argument: { register: 0 }, code: onWord } as const]
        : []),
    ],
    start: ['main'],
    registers: Array.from({ length: registers }, (_, i) => [0.5, -3, 700, 2 ** -9][i]),
  });
}
