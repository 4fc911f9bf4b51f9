// What the server and its prompt threads say to each other.

import type { Diagnostic } from '../../core/index.ts';
import type { EncodedPrompt, PromptSource } from './prompts.ts';

/** What a thread is started with. */
export interface PromptThreadStart {
  /** Checkpoint whose tokenizer it opens. */
  readonly checkpoint: string;
}

export interface PromptOrder {
  readonly source: PromptSource;
  readonly mostCharacters: number;
}

export type PromptAnswer =
  | { readonly kind: 'done'; readonly prompt: EncodedPrompt }
  | { readonly kind: 'refused'; readonly diagnostics: readonly Diagnostic[] }
  | { readonly kind: 'broken'; readonly error: unknown };
