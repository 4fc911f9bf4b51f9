export { compile } from './compile.ts';
export { bytesOfWholeHeads, createMemoryModel } from './memory.ts';
export type { MemoryModel, Mesh } from './memory.ts';
export { passes, runPipeline } from './pipeline.ts';
export type { Pass } from './pass/pass.ts';
export type { CompileOptions, Detours, Objective, PlacementCost } from './request.ts';
export { mostLayers } from './search.ts';
export type { Candidate, Search } from './search.ts';
export { sectionsOf } from './sections.ts';
