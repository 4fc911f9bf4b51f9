export * from './program.ts';
export * from './reduction.ts';
export * from './phase.ts';
export * from './collective/index.ts';
export * from './kernel/index.ts';
export * from './plan.ts';
