import type { Joules, Seconds } from '../core/index.ts';

/** Shape of one engine step: per sequence, tokens processed now and tokens already cached. */
export interface StepShape {
  readonly items: readonly { readonly tokens: number; readonly cached: number }[];
}

/**
 * Simulated cost of a step on the wafer. Given to the engine from outside (`sim` makes it), so that the
 * engine knows nothing of simulators.
 */
export interface StepModel {
  /** What the figures rest on, for people: wafer, clock, engine that made them. */
  readonly basis: string;
  step(shape: StepShape): { readonly time: Seconds; readonly energy: Joules };
}
