export {
  createProgramExecutor,
  estimateExecutorMemory,
  type MemoryEstimate,
  type ProgramExecutorOptions,
} from './executor/program.node.ts';
export { askForHugePages, leastHugeBytes } from './executor/huge-pages.node.ts';
export { createPromptPool, type PromptPool, type PromptPoolOptions } from './http/prompt-pool.node.ts';
export { keyTools } from './access/key-tools.node.ts';
