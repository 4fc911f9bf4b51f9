// What every engine gives: a run in steps, and what it counted. Which engines there are: index.ts.

import type { Diagnostic } from '../../../core/index.ts';
import type { MachineState, ResolvedProgram } from '../../../wafer/machine/index.ts';
import type { Observer } from '../observer.ts';
import type { Timing } from '../timing.ts';

/** What the engine counts as it goes. */
export interface Counts {
  /** Link traversals between routers. */
  hops: number;
  /** Crossings from a router into a CE. */
  delivered: number;
  /** Instructions issued and vector steps done, over all CEs. */
  instructions: number;
  vectorSteps: number;
  tasks: number;
  /** Times that a wavelet lost its link to another color, in cycles. */
  contended: number;
}

export const createCounts = (): Counts => ({
  hops: 0,
  delivered: 0,
  instructions: 0,
  vectorSteps: 0,
  tasks: 0,
  contended: 0,
});

export interface Engine {
  /** The cycle last executed; -1 before the first. */
  readonly cycle: number;
  /** First cycle after everything that was done so far. */
  readonly end: number;
  readonly counts: Counts;
  /** Cycles in which each CE executed something. */
  readonly busy: Int32Array;
  /** Wavelets that left PE p by port d (N, E, S, W), at 4 p + d: cycles in which the link was taken. */
  readonly links: Int32Array;
  /** Execute the next cycle in which anything can happen; the number of things done. Call while `scheduled`. */
  tick(): number;
  /** Something may still happen. When false, all is done or deadlocked. */
  readonly scheduled: boolean;
  /**
   * Call once when nothing is scheduled: completes the counts, and the FIFOs of the machine state.
   * @throws Refusal when the engine finds only now that it cannot vouch for the run
   */
  finish?(): void;
}

/** Called for every list of PEs of a cycle before it is worked through; may reorder it. */
export type Order = (pes: Int32Array) => void;

export interface EngineOptions {
  readonly order?: Order | undefined;
  readonly observer?: Observer | undefined;
  /** Never do a CE's work ahead of the others. Slower, the same cycles, counts and values. */
  readonly stepByStep?: boolean | undefined;
}

/** An engine that somebody can ask for. */
export interface EngineKind {
  readonly id: string;
  /** One sentence for people. */
  readonly about: string;
  /** It never refuses a run that it has begun. */
  readonly certain: boolean;
  /** It moves wavelets through the FIFOs of the machine state. */
  readonly usesFifos: boolean;
  /** Why the engine cannot run this program under these options; undefined when it can, as far as can be told before. */
  refuses(resolved: ResolvedProgram, timing: Timing, options: EngineOptions): string | undefined;
  create(m: MachineState, timing: Timing, options: EngineOptions): Engine;
}

/** Thrown in the middle of a run by an engine that meets what it does not take. Another engine has to start anew. */
export class Refusal extends Error {}

export const refused = (id: string, reason: string): Diagnostic => ({
  code: 'ENGINE_REFUSED',
  message: `the engine "${id}" cannot run this: ${reason}`,
  suggestion: 'use auto, which takes the fastest engine that can',
});
