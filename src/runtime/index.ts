export * from './executor/executor.ts';
export * from './step-model.ts';
