import type { PublishedRow } from '../../spec/index.ts';

/** What the model says for a row, in the row's unit, and what it presumed where the row is silent. */
export interface Answer {
  readonly value: number;
  readonly presumes: string;
}

/** Answers the rows of one group. */
export interface Predictor {
  readonly group: string;
  /** Conditions that it takes into account; others that a row states are named beside the answer. */
  readonly reads: readonly string[];
  /** Quantities and units that it knows, for people whose row it does not answer. */
  readonly answers: string;
  /** Undefined when the model cannot answer this row yet. */
  predict(row: PublishedRow): Answer | undefined;
}
