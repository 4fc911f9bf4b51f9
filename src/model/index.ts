export * from './graph.ts';
export * from './weights.ts';
export * from './op/index.ts';
export { headOf, opsOf, verifyGraph, weightsOf } from './op/verify-graph.ts';
export * from './arch/index.ts';
export * from './reference.ts';
export * from './prune/index.ts';
// For tests and benches of other parts; nothing that ships calls it.
export { randomWeights } from './testing/random-weights.ts';
export { DTYPE_BYTES, f32ToBf16, widenInto } from './format/float-formats.ts';
export { encodeSafetensors, type TensorToWrite } from './format/safetensors.ts';
export type { Embedding, EmbeddingRule } from './format/embedding-rule.ts';
export * from './tokenizer/index.ts';
export { parseJsonObject } from './format/json.ts';
