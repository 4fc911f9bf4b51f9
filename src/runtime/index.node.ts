export {
  createProgramExecutor,
  estimateExecutorMemory,
  type MemoryEstimate,
  type ProgramExecutorOptions,
} from './executor/program.node.ts';
