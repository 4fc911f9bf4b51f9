import type { Op, OpKind } from '../../model/index.ts';
import { add } from './add.ts';
import { attention } from './attention.ts';
import { embedding } from './embedding.ts';
import { glu } from './glu.ts';
import type { Kernel } from './kernel.ts';
import { headLinear } from './head-linear.ts';
import { linear } from './linear.ts';
import { moe } from './moe.ts';
import { rmsnorm } from './rmsnorm.ts';
import { rope } from './rope.ts';
import { softcap } from './softcap.ts';

/** One kernel per op kind; a new op kind does not compile until its kernel is here. */
export const kernels: { readonly [K in OpKind]: Kernel<Extract<Op, { kind: K }>> } = {
  add,
  attention,
  embedding,
  glu,
  linear,
  'head-linear': headLinear,
  moe,
  rmsnorm,
  rope,
  softcap,
};

export { positionsOnPe } from './attention.ts';
export { linears, matrix } from './linear.ts';
export { columnPitch } from './lower/columns.ts';
export { across, along } from './kernel.ts';
export { cannonGemm, shiftGemm, shiftGemmTransposed } from './shift-gemm.ts';
export type { Kernel, KernelContext } from './kernel.ts';
export { lowerLinear, type LinearSpec } from './linear.lower.ts';
export { onLines } from './lower/all-reduce.ts';
export type { LoweredKernel, Tensors } from './lower/lowering.ts';
export { expVectors } from './lower/exponential.ts';
export { lowerAdd } from './add.ts';
export { lowerAttention, type AttentionSpec } from './attention.lower.ts';
export { lowerGlu } from './glu.ts';
export { lowerRmsNorm, type RmsNormSpec } from './rmsnorm.ts';
export { lowerRope } from './rope.ts';
export { lowerShiftGemm, type ShiftGemmSpec } from './shift-gemm.lower.ts';
export { lowerSoftmax, softmaxPhases, type SoftmaxSpec } from './softmax.ts';
export { lowerTopK, topK, type TopKSpec } from './top-k.ts';
export { lowerEmbedding, type EmbeddingSpec } from './embedding.lower.ts';
export { lowerTiledGemm, tiledGemm, type TiledGemmSpec } from './tiled-gemm.ts';
export { lowerSumma, summa, type SummaSpec } from './summa.ts';
export { gemmTransposed, lowerGemmTransposed, type GemmTransposedSpec } from './gemm-transposed.ts';
