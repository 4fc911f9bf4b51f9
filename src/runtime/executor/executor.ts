// What runs a batch. The engine knows this interface only; `program` executes the compiled program's
// arithmetic, `emulate` answers with filler, `null` does nothing.

/** One sequence's part of a step. Blocks are ids into the executor's KV cache, in token order. */
export interface BatchItem {
  readonly sequence: number;
  /** Token ids to process in this step (one for decode, a chunk for prefill). */
  readonly tokens: Int32Array;
  /** Position of tokens[0] in the sequence. */
  readonly start: number;
  readonly blockTable: Int32Array;
  /** How many of the last tokens want logits: 0 within a prompt, 1 as a rule, more where drafts are verified. */
  readonly wantLogits: number;
  /** Those tokens give their hidden states after the last norm in the place of logits, which are then not computed. */
  readonly hidden?: true;
}

export interface Batch {
  readonly items: readonly BatchItem[];
}

/** What a token says of the next one: of the whole vocabulary [vocab], or of some tokens only. */
export type Logits = Float32Array | SparseLogits;

/** The tokens that are not named are possible, but next to never come. */
export interface SparseLogits {
  readonly tokens: Int32Array;
  readonly values: Float32Array;
}

export interface Executor<L extends Logits = Logits> {
  readonly vocab: number;
  readonly maxContext: number;
  /** Width of hidden states; absent where there are none to give. */
  readonly hiddenWidth?: number;
  /** KV cache geometry. */
  readonly blockTokens: number;
  readonly blocks: number;
  /** Tokens that one step may process over all items. */
  readonly maxStepTokens: number;
  /**
   * Run one step. Result i is the logits of item i's last tokens, in order, as many as were wanted, or their hidden
   * states [hiddenWidth].
   * The arrays are valid until the next call. Results depend neither on what else is in the batch nor on how many
   * steps the sequence's earlier tokens took: company decides how a prompt is cut.
   */
  execute(batch: Batch): Promise<readonly (readonly L[])[]>;
  close(): Promise<void>;
}
