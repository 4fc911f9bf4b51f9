export { candidateMeshes, compile } from './compile.ts';
export type { CompileOptions } from './compile.ts';
export { createMemoryModel } from './memory.ts';
export type { MemoryModel, Mesh, StageContent } from './memory.ts';
