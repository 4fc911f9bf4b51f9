export interface ModelRecord {
  readonly id: string;
  readonly object: 'model';
  /** Unix seconds. */
  readonly created: number;
  readonly owned_by: string;
  /** Not OpenAI's: what a client needs to size its requests. */
  readonly limits: { readonly max_context_length: number };
}

export interface ModelList {
  readonly object: 'list';
  readonly data: readonly ModelRecord[];
}
