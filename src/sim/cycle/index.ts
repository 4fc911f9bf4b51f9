export * from './simulate.ts';
export * from './testing/simulate-collective.ts';
export * from './engine/index.ts';
export * from './timing.ts';
export * from './critical-path.ts';
export * from './observer.ts';
export * from './activity.ts';
