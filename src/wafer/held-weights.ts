// How a program holds the weights of a checkpoint. The interpreter and the executors share these rules.

import { fail } from '../core/index.ts';
import { opsOf, prunedWeights, requireExecutable, verifyGraph } from '../model/index.ts';
import type { DType, LinearOp, Op, WeightSource } from '../model/index.ts';
import { f32, roundToBf16, roundToF16 } from './arithmetic.ts';
import type { Numerics, Program } from './program.ts';
import type { WeightFormat } from './weight-formats.ts';

const is16 = (format: WeightFormat): format is DType => format === 'f32' || format === 'bf16' || format === 'f16';

/** Format in which the matrix of a linear op is held: that of its class, or else the program's; routers are no class. */
export const heldMatrix = (numerics: Numerics, role: LinearOp['role']): WeightFormat =>
  (role === 'router' ? undefined : numerics.classes?.[role]) ?? numerics.weights;

/**
 * Type in which a router or a matrix for each head is held: the program's, except that programs of 8 and 4 bits keep them
 * in 16 bits, as stored where the checkpoint has 16 bits.
 */
export function heldTable(numerics: Numerics, stored: DType): DType {
  if (is16(numerics.weights)) return numerics.weights;
  return stored === 'f32' ? 'bf16' : stored;
}

/** Format of an embedding table: as `heldTable`, unless its class has one. */
export const heldEmbedding = (numerics: Numerics, stored: DType): WeightFormat =>
  numerics.classes?.embedding ?? heldTable(numerics, stored);

/** Rounds to a type of checkpoints. */
export const roundingTo = (type: DType): ((x: number) => number) =>
  type === 'f32' ? f32 : type === 'bf16' ? roundToBf16 : roundToF16;

// Norm weights and biases are small: they are held as stored and widened exactly.

/** More PEs than any wafer has along one axis. */
const meshLimit = 65_536;
/** Widths over which the int8 matrices of an op add. */
function int8Widths(op: Op, numerics: Numerics): readonly number[] {
  if (op.kind === 'linear') return heldMatrix(numerics, op.role) === 'int8' ? [op.k] : [];
  return op.kind === 'moe' && heldMatrix(numerics, 'expert') === 'int8' ? [op.width, op.expertFfn] : [];
}
/** Products of two int8 of magnitude 127 that int32 can add. */
const int8WidthLimit = Math.floor((2 ** 31 - 1) / 127 ** 2);

/**
 * Refuse what the program's arithmetic is not defined for.
 * @throws IngotError ARCH_UNSUPPORTED, PROGRAM_STAGES_INVALID, PROGRAM_NUMERICS_UNSUPPORTED
 */
export function requireExecutableProgram(program: Program): void {
  requireExecutable(program.graph);
  verifyGraph(program.graph);
  requireStages(program);
  const { activations } = program.numerics;
  const widest = opsOf(program.graph).reduce((k, op) => Math.max(k, ...int8Widths(op, program.numerics)), 0);
  if (widest > int8WidthLimit) {
    fail({
      code: 'PROGRAM_NUMERICS_UNSUPPORTED',
      message: 'an int8 sum over this many elements can pass the range of int32',
      where: `program of ${program.model}`,
      expected: `linear ops over at most ${int8WidthLimit} elements`,
      found: `${widest} elements`,
      suggestion: 'compile the model with bf16 weights',
    });
  }
  if (activations === 'fp32') return;
  fail({
    code: 'PROGRAM_NUMERICS_UNSUPPORTED',
    message: 'only programs with fp32 activations can be executed',
    where: `program of ${program.model}`,
    expected: 'activations fp32',
    found: `activations ${activations}`,
    suggestion: 'compile the model with fp32 activations; fp16 programs can be sized and timed',
  });
}

/**
 * Every section on one stage, in order, on a region that says in which order to add.
 * @throws IngotError PROGRAM_STAGES_INVALID
 */
export function requireStages({ stages, graph, model }: Program): void {
  const refuse = (message: string, expected: string, found: string): never =>
    fail({
      code: 'PROGRAM_STAGES_INVALID',
      message,
      where: `program of ${model}`,
      expected,
      found,
      suggestion: 'compile the model again',
    });
  let layer = 0;
  for (const [i, stage] of stages.entries()) {
    const { region, groups, fromLayer, toLayer, hasEmbedding, hasHead } = stage;
    const sizes = [region.width, region.height, groups.x, groups.y];
    if (!sizes.every((size) => Number.isInteger(size) && size >= 1 && size <= meshLimit)) {
      refuse(
        `the region and groups of stage ${i} do not say in which order to add`,
        `whole numbers from 1 to ${meshLimit}`,
        `region ${region.width}x${region.height}, groups of ${groups.x} and ${groups.y}`,
      );
    }
    if (
      fromLayer !== layer ||
      !(toLayer >= fromLayer) ||
      hasEmbedding !== (i === 0) ||
      hasHead !== (i === stages.length - 1)
    ) {
      refuse(
        `stage ${i} does not follow on the one before`,
        `layers from ${layer} on; the embedding on the first stage and the head on the last`,
        `layers ${fromLayer} to ${toLayer}${hasEmbedding ? ', the embedding' : ''}${hasHead ? ', the head' : ''}`,
      );
    }
    layer = toLayer;
  }
  if (layer !== graph.layers.length)
    refuse('the stages do not hold every layer', `${graph.layers.length} layers`, `${layer} layers`);
}

/** The weights of a program from those of its checkpoint: without what is pruned. */
export const weightsOfProgram = ({ graph, pruning }: Program, checkpoint: WeightSource): WeightSource =>
  pruning === undefined ? checkpoint : prunedWeights(checkpoint, graph, pruning);

/**
 * Refuse a checkpoint that lacks a weight or has it in another shape.
 * @throws IngotError WEIGHT_MISSING, WEIGHT_SHAPE
 */
export function requireWeight(weights: WeightSource, name: string, shape: readonly number[]): void {
  if (!weights.has(name)) {
    fail({ code: 'WEIGHT_MISSING', message: 'the checkpoint lacks a weight that the program needs', where: name });
  }
  const found = weights.shape(name);
  if (found.join() === shape.join()) return;
  fail({
    code: 'WEIGHT_SHAPE',
    message: 'a weight has another shape than the program says',
    where: name,
    expected: `[${shape.join(', ')}]`,
    found: `[${found.join(', ')}]`,
  });
}
