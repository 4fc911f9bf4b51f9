import type { KvBlocks } from '../kv.ts';
import type { Sequence } from '../sequence.ts';

/** One sequence's share of a step. */
export interface StepItem<S extends Sequence> {
  readonly sequence: S;
  /** Tokens to process: 1 for decode, a chunk of the prompt for prefill. */
  readonly tokens: number;
}

export interface SchedulerLimits {
  /** Tokens that one step may process over all sequences. */
  readonly maxStepTokens: number;
  /** Prompt tokens that one step may process over all sequences: bounds how long a prefill delays a decode. */
  readonly chunkSize: number;
  /** Sequences that may hold blocks at once; at most `maxStepTokens`. */
  readonly maxRunning: number;
}

/**
 * Decides what the next step does. Its laws stand in scheduler.laws.ts: every sequence ends, none starves,
 * blocks are conserved, the token budget is kept.
 */
export interface Scheduler<S extends Sequence> {
  readonly waiting: number;
  readonly running: number;
  /** Enter the queue. */
  add(sequence: S): void;
  /** The sequence ended or was cancelled: its blocks are free when this returns. */
  remove(sequence: S): void;
  /**
   * The next step, admitting what fits; every item owns blocks for its tokens. Empty only when there is
   * no sequence. The caller advances `computed` before it asks again.
   */
  schedule(): readonly StepItem<S>[];
}

export type SchedulerFactory = <S extends Sequence>(kv: KvBlocks, limits: SchedulerLimits) => Scheduler<S>;
