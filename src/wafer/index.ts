export * from './program.ts';
export * from './reduction.ts';
