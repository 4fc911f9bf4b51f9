// What a served model was made from, for whoever must be able to say so later.

/** A file that was read, with the hash of its bytes. */
export interface ProvenanceFile {
  readonly name: string;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

export interface ModelProvenance {
  /** Answers are filler: of the model only the shape was read. */
  readonly emulated: boolean;
  /** Every input file; of a model by name there are none. */
  readonly files: readonly ProvenanceFile[];
  /** SHA-256 of the model's shape as JSON: with the compiler's version it fixes the graph. */
  readonly shape_sha256: string;
  readonly compiler: { readonly name: string; readonly version: string };
  /** What the program was compiled for. */
  readonly wafer: { readonly id: string; readonly name: string; readonly count: number };
  readonly numerics: Readonly<Record<'weights' | 'activations' | 'kv', string>>;
}
