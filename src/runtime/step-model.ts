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
  step(shape: StepShape): StepCost;
}

export interface StepCost {
  readonly time: Seconds;
  readonly energy: Joules;
  /** Seconds that each stage of the program is busy in the step; computed when asked. */
  readonly busy?: () => ArrayLike<number>;
}

interface Span {
  readonly from: Seconds;
  readonly to: Seconds;
}

/** What all sequences of a step asked for. */
export interface StepWork {
  readonly tokens: number;
  /** Sum over the tokens of how many are cached before each. */
  readonly cached: number;
  /** Tokens of which logits are wanted. */
  readonly logits: number;
}

/** A step that was executed, or failed, for those who watch. */
export interface StepRecord {
  readonly work: StepWork;
  /** How long the executor took on this machine. */
  readonly server: Span;
  /** On the simulated wafer's clock, which stands still between steps. */
  readonly wafer: Span;
  readonly busy?: () => ArrayLike<number>;
}
