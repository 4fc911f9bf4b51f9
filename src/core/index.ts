export * from './units.ts';
export * from './diagnostic.ts';
export * from './rng.ts';
export * from './clock.ts';
export * from './event-queue.ts';
export * from './quantile.ts';
export * from './table.ts';
export * from './xml.ts';
