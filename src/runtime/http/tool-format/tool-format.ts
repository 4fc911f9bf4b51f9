// How a family of models writes calls of tools. A format is one file and one line in index.ts.

import type { Expression, JsonText } from '../../grammar/index.ts';
import type { AnswerPart } from '../../../protocol/index.ts';

/** One function that may be called, for the grammar. */
export interface Callable {
  readonly name: string;
  readonly arguments: Expression;
}

/** Reads an answer's text as it comes; what is no call is content. */
export interface CallReader {
  push(text: string): AnswerPart[];
  /** No text follows. */
  end(): AnswerPart[];
}

export interface CallOptions {
  /** Several calls in one answer. */
  readonly parallel: boolean;
  /** `begin` has been written. */
  readonly begun: boolean;
  readonly json: JsonText;
}

export interface ToolFormat {
  /** Whether a chat template teaches this format. */
  fits(template: string): boolean;
  /** Marks around calls; where they are special tokens they are text all the same. */
  readonly marks: readonly string[];
  /** What an answer that is a call begins with, where it always begins so; then text may go before it. */
  readonly begin: string | undefined;
  /** Answers that are calls and nothing else; what they begin with is left out where it has been written. */
  calls(callables: readonly Callable[], options: CallOptions): Expression;
  /** @param newId names the next call */
  createReader(newId: () => string): CallReader;
  /** A call's id as later turns of the template want it, from hexadecimal digits. */
  callId(hex: string): string;
}
