// Bytes of code of the kernels of a region, from what the lowered kernels take on their fullest PE. They are lowered
// here on a small mesh on which every role of a collective occurs: code depends on the role, not on the mesh. What a
// lowered kernel writes out for each element of a tile is counted as a loop, which is what the closed form prices.

import type { Op, OpKind } from '../model/index.ts';
import { peLimits, type Wafer } from '../spec/index.ts';
import {
  collectives,
  kernelsOf,
  lowerAdd,
  lowerAttention,
  lowerEmbedding,
  lowerGlu,
  lowerLinear,
  lowerRmsNorm,
  lowerRope,
  lowerTopK,
} from '../wafer/index.ts';
import type { LoweredKernel, VectorType } from '../wafer/index.ts';
import { sramOf } from '../wafer/machine/index.ts';

/** Three groups of three: ends, relays and roots of both levels of the two-level reduce, on either axis. */
const SIDE = 9;
const GROUP = 3;
/** Instructions that turn one pass through a list into a loop: step, count, branch. */
const LOOP = 3;

/** Instructions on the fullest PE of each kernel, loops included. */
type Instructions = Readonly<Record<OpKind, number>>;

function measure(type: VectorType, wafer: Wafer): Instructions {
  const mesh = { width: SIDE, height: SIDE, axis: 'y', type } as const;
  const treeReduce = { collective: collectives['two-level'], group: GROUP };
  const fixedReduce = { collective: collectives['two-phase'], group: GROUP };
  const of = ({ program }: LoweredKernel): number =>
    Math.max(...Object.values(program.roles).map((role) => sramOf(role, wafer.id).code)) / bytesPerInstruction(wafer);
  /** With the second element of a tile as the body of a loop. */
  const looped = (lower: (tile: number) => LoweredKernel): number => of(lower(2)) + LOOP;
  const linear = looped((tile) => lowerLinear({ ...mesh, ...treeReduce, k: tile * SIDE, n: SIDE, bias: true }, wafer));
  const glu = looped((tile) => lowerGlu({ ...mesh, size: tile * SIDE }, wafer));
  // Loops over channels, over positions, and over the queries of a group.
  const attended = { ...mesh, heads: 1, collective: fixedReduce.collective, group: () => GROUP };
  const attention = of(lowerAttention({ ...attended, headDim: 2 * SIDE, cached: 2 * SIDE - 1 }, wafer)) + 3 * LOOP;
  const topK = of(lowerTopK({ ...mesh, ...fixedReduce, size: SIDE, k: 1 }, wafer)) + LOOP;
  return {
    linear,
    'head-linear': linear,
    glu,
    // The exponential and division of a unit, and no more.
    softcap: glu,
    attention,
    rmsnorm: of(lowerRmsNorm({ ...mesh, ...treeReduce, size: SIDE, eps: 1 }, wafer)),
    rope: of(lowerRope({ ...mesh, pairs: SIDE }, wafer)),
    add: of(lowerAdd({ ...mesh, size: SIDE }, wafer)),
    embedding: of(lowerEmbedding({ ...mesh, vocab: 2 * SIDE, size: SIDE }, wafer)),
    // Router, choice, and for each chosen expert the two matrices around a gate, in a loop.
    moe: linear + topK + 2 * linear + glu + LOOP,
  };
}

const bytesPerInstruction = (wafer: Wafer): number => peLimits[wafer.id].bytesPerInstruction.value;

const measured = new Map<string, Instructions>();

/**
 * Bytes of code for these sections of a graph on one region: each kernel once, and once for all layers that run the
 * same kernels, since those differ only in where their tensors lie.
 */
export function codeSize(sections: readonly (readonly Op[])[], type: VectorType, wafer: Wafer): number {
  const key = `${wafer.id} ${type}`;
  let instructions = measured.get(key);
  if (instructions === undefined) measured.set(key, (instructions = measure(type, wafer)));
  const roles = new Map<string, number>();
  for (const ops of sections) {
    const kinds = kernelsOf(ops).map(([op]) => op.kind);
    const role = kinds.join();
    if (!roles.has(role))
      roles.set(
        role,
        kinds.reduce((sum, kind) => sum + instructions[kind], 0),
      );
  }
  return [...roles.values()].reduce((sum, n) => sum + n, 0) * bytesPerInstruction(wafer);
}
