export { compile } from './compile.ts';
export { bytesOfWholeHeads } from './memory.ts';
export { passes, runPipeline } from './pipeline.ts';
export type { Pass } from './pass/pass.ts';
export type { Detours, Objective } from './request.ts';
export { mostLayers } from './search.ts';
export type { Candidate, Search } from './search.ts';
