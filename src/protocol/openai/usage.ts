/** Token counts of a request: prompts counted once, however many choices; every sampled token counted. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  readonly completion_tokens_details: {
    readonly reasoning_tokens: number;
    /** Of a predicted or drafted text: tokens that the model confirmed, and that it did not. */
    readonly accepted_prediction_tokens: number;
    readonly rejected_prediction_tokens: number;
  };
}

/** Spans in seconds, of the server's clock or the wafer's. queue + prompt + completion = total. */
export interface TimeSpans {
  /** From the request's arrival until the first step of any choice began. */
  readonly queue_time: number;
  /** From there to the first token of any choice. */
  readonly prompt_time: number;
  /** From there to the last token of all. */
  readonly completion_time: number;
  readonly total_time: number;
}

/** What a request cost in time: measured here, and, under its own name, simulated for the wafer. */
export interface TimeInfo extends TimeSpans {
  /** Unix seconds. */
  readonly created: number;
  /** Most time that a streamed token waits to travel with others; absent where each travels at once. */
  readonly coalesce_ms?: number;
  readonly simulated_wafer?: TimeSpans & {
    /** Output tokens per second for one user, 1/TPOT; null where no choice has two tokens. */
    readonly tokens_per_second: number | null;
    /** What the simulated figures rest on. */
    readonly basis: string;
  };
}
