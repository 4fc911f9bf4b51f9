export interface ModelRecord {
  readonly id: string;
  readonly object: 'model';
  /** Not OpenAI's: the model that an alias stands for. */
  readonly alias_of?: string;
  /** Unix seconds. */
  readonly created: number;
  readonly owned_by: string;
  /** Not OpenAI's: what a client needs to size its requests, in tokens. */
  readonly limits: { readonly max_context_length: number; readonly max_completion_tokens: number };
  /** Not OpenAI's: what the model can be asked for here. */
  readonly capabilities: Readonly<
    Record<'chat' | 'streaming' | 'structured_outputs' | 'tools' | 'reasoning' | 'embeddings', boolean>
  >;
}

export interface ModelList {
  readonly object: 'list';
  readonly data: readonly ModelRecord[];
}
