// What runs a batch. The engine knows this interface only; `program` executes the compiled program's
// arithmetic, `null` does nothing.

/** One sequence's part of a step. Blocks are ids into the executor's KV cache, in token order. */
export interface BatchItem {
  readonly sequence: number;
  /** Token ids to process in this step (one for decode, a chunk for prefill). */
  readonly tokens: Int32Array;
  /** Position of tokens[0] in the sequence. */
  readonly start: number;
  readonly blockTable: Int32Array;
  /** Whether logits of the last token are wanted. */
  readonly wantLogits: boolean;
}

export interface Batch {
  readonly items: readonly BatchItem[];
}

export interface Executor {
  readonly vocab: number;
  readonly maxContext: number;
  /** KV cache geometry. */
  readonly blockTokens: number;
  readonly blocks: number;
  /** Tokens that one step may process over all items. */
  readonly maxStepTokens: number;
  /**
   * Run one step. Result i is the logits [vocab] of item i's last token, or undefined where not wanted.
   * The arrays are valid until the next call. Results depend neither on what else is in the batch nor on how many
   * steps the sequence's earlier tokens took: company decides how a prompt is cut.
   */
  execute(batch: Batch): Promise<readonly (Float32Array | undefined)[]>;
  close(): Promise<void>;
}
