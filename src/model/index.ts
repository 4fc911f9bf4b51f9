export * from './graph.ts';
export * from './weights.ts';
