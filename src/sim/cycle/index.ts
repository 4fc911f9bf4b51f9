export * from './simulate.ts';
export * from './engine.ts';
export * from './timing.ts';
