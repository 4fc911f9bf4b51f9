export * from './executor/executor.ts';
export * from './step-model.ts';
export * from './engine.ts';
export * from './engine-request.ts';
export type { LogitsProcessor } from './logits-processor.ts';
export type { Sampling, TokenLogprobs } from './sampler.ts';
export { schedulers, type SchedulerName } from './scheduler/index.ts';
export * from './http/index.ts';
export { createNullExecutor, type NullExecutorOptions } from './executor/null.ts';
