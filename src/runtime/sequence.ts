// A sequence: the live state of one answer that a scheduler and the executor need to know.
// Generated tokens are not kept here: blocks are held from admission to the end, nothing is recomputed, so
// only the newest token is ever an input again.

export interface Sequence {
  /** Unique while the engine lives. */
  readonly id: number;
  readonly prompt: Int32Array;
  /** It ends after this many generated tokens at the latest. */
  readonly maxTokens: number;
  /** Blocks it owns, in token order; empty while it waits. Set by the scheduler. */
  blockTable: Int32Array;
  /** Tokens whose keys and values are cached. */
  computed: number;
  /** Tokens sampled so far. */
  generated: number;
  /** The newest sampled token, the input of the next decode step. */
  readonly newest: Int32Array;
}

export const NO_BLOCKS = new Int32Array(0);

export function createSequence(id: number, prompt: Int32Array, maxTokens: number): Sequence {
  return { id, prompt, maxTokens, blockTable: NO_BLOCKS, computed: 0, generated: 0, newest: new Int32Array(1) };
}

/** Most tokens it will ever cache: the last generated token is never an input. */
export const cachedAtMost = (sequence: Sequence): number => sequence.prompt.length + sequence.maxTokens - 1;

/** Prompt tokens still to be processed; 0 once it decodes. */
export const prefillLeft = (sequence: Sequence): number => Math.max(0, sequence.prompt.length - sequence.computed);

/** Input of the next `count` tokens: a chunk of the prompt, or the newest token. */
export const nextTokens = (sequence: Sequence, count: number): Int32Array =>
  prefillLeft(sequence) > 0 ? sequence.prompt.subarray(sequence.computed, sequence.computed + count) : sequence.newest;
