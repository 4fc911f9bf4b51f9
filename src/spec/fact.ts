// A fact is a value with its unit, the basis on which it holds, where it comes from and how sure we are.

export type Standing =
  /** Stated by the source. */
  | 'published'
  /** Arithmetic on published values; the basis names it. */
  | 'derived'
  /** Measured by us or by others on the machine or its vendor's simulator. */
  | 'measured'
  /** Chosen by us because no source was found. */
  | 'assumed';

export interface Fact<T = number> {
  readonly value: T;
  readonly unit: string;
  /** What the value counts or presumes: "dense", "per PE", "per direction", "at 0.85 GHz". */
  readonly basis: string;
  /** Document, section; enough to find it again. */
  readonly source: string;
  readonly standing: Standing;
  /** Other values in circulation, with their sources, where sources disagree. */
  readonly disputed?: readonly { readonly value: T; readonly source: string }[];
}
