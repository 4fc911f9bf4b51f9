import type { Seconds } from '../../core/index.ts';
import type { KvBlocks } from '../kv.ts';
import type { Sequence } from '../sequence.ts';
import type { StepModel } from '../step-model.ts';

/** One sequence's share of a step. */
export interface StepItem<S extends Sequence> {
  readonly sequence: S;
  /** Tokens to process: 1 for decode, a chunk for prefill. */
  readonly tokens: number;
  /** Its tokens that are cached before them. */
  readonly cached: number;
}

export interface SchedulerLimits {
  /** Tokens that one step may process over all sequences. */
  readonly maxStepTokens: number;
  /** Tokens of prefill that one step may process over all sequences: bounds how long a prefill delays a decode. */
  readonly chunkSize: number;
  /** Sequences that may hold blocks at once; at most `maxStepTokens`. */
  readonly maxRunning: number;
}

/** What a policy may look at besides sequences. */
export interface PolicyContext {
  readonly now: () => Seconds;
  /** Prices a step; absent where nothing is simulated. */
  readonly stepModel?: StepModel;
}

/**
 * In which order sequences go. One order serves for all: who is admitted and prefilled first, and who is preempted last.
 * It is fixed when a sequence comes, so that the first in it is never disturbed; that is why every request ends.
 */
export interface Policy<S extends Sequence> {
  /**
   * Its place, asked once when it comes; the smaller goes first, and among equals who came first. For every place
   * there is a time after which no newcomer gets one before it; that is why nobody starves.
   */
  rank(sequence: S): number;
  /** It holds blocks for the first time. */
  admitted?(sequence: S): void;
  /** It ended or left. */
  ended?(sequence: S): void;
  /** How many of the `most` tokens of prefill a step beside these may have: at least 1. */
  prefillTokens?(decoding: readonly S[], most: number): number;
}

export type PolicyFactory = <S extends Sequence>(context: PolicyContext) => Policy<S>;

/**
 * Decides what the next step does. Its laws stand in scheduler.laws.ts: every sequence ends, none starves,
 * blocks are conserved, shared blocks are not written, the token budget is kept.
 */
export interface Scheduler<S extends Sequence> {
  readonly waiting: number;
  readonly running: number;
  /** How often blocks were taken back from a running sequence. */
  readonly preemptions: number;
  /** Enter the queue. */
  add(sequence: S): void;
  /** The sequence ended or was cancelled: its blocks are free when this returns. */
  remove(sequence: S): void;
  /**
   * The next step: first what decodes, then prefill. Every item owns blocks for its tokens. Empty only when there is
   * no sequence. The caller advances `computed` before it asks again.
   */
  schedule(): readonly StepItem<S>[];
}

export interface SchedulerOptions {
  readonly kv: KvBlocks;
  readonly limits: SchedulerLimits;
  readonly policy: PolicyFactory;
  readonly context: PolicyContext;
  /** Reuse blocks with equal token history. */
  readonly prefixCache: boolean;
}
