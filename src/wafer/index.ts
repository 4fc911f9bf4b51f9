export * from './program.ts';
export * from './reduction.ts';
export * from './phase.ts';
export * from './head-tiles.ts';
export * from './collective/index.ts';
export * from './collective/mesh/index.ts';
export * from './kernel/index.ts';
export * from './layer/index.ts';
export * from './plan.ts';
export * from './work.ts';
export * from './program-file.ts';
export * from './arithmetic.ts';
export * from './weight-formats.ts';
export * from './unpack.ts';
export * from './held-bytes.ts';
export * from './numerics-text.ts';
export {
  heldEmbedding,
  heldMatrix,
  heldTable,
  requireExecutableProgram,
  requireWeight,
  roundingTo,
  weightsOfProgram,
} from './held-weights.ts';
export * from './orders.ts';
export * from './interpret.ts';
export * from './defect/index.ts';
// For tests of other parts; nothing that ships calls it.
export {
  noMemory,
  tinyDeepseek,
  tinyMixtures,
  tinyProgram,
  tinyShape,
  type TinyMesh,
  type TinyShape,
  type TinyStages,
} from './testing/tiny-program.ts';
