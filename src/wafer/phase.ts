// What a kernel or a collective costs, as counts on its critical path. No time here: `sim/analytic` alone
// turns counts into cycles, with the constants of a wafer.

export type VectorType = 'fp16' | 'fp32';

/** `count` vector instructions of `length` elements each, one after another on the busiest PE. */
export interface VectorWork {
  readonly count: number;
  readonly length: number;
  readonly type: VectorType;
  /** Inside a scalar loop: each instruction also pays the loop's own instructions. */
  readonly looped?: boolean;
  /** Two operands lie in one bank, as when a vector is multiplied by itself: each step takes two accesses. */
  readonly sameBank?: boolean;
}

/** Counts on the critical path of one run of the phase; `repeat` runs follow one another. */
export interface Phase {
  readonly name: string;
  readonly repeat: number;
  /** Link traversals in sequence. */
  readonly hops: number;
  /** Crossings between a router and its CE in sequence. */
  readonly ramps: number;
  /** Wavelets that pass one after another through the busiest CE port or link. */
  readonly wavelets: number;
  /** Cycles that single elements wait for a CE in sequence, one per dependent operation. */
  readonly steps: number;
  /** Tasks started in sequence. */
  readonly tasks: number;
  /** Divisions and square roots in sequence. */
  readonly divisions: number;
  readonly vectors: readonly VectorWork[];
  /** Communication that goes on beside the counts above; the longer of the two decides. */
  readonly beside?: { readonly hops: number; readonly ramps: number; readonly wavelets: number };
}

/** A phase from the counts that are not zero. */
export const phase = (name: string, counts: Partial<Omit<Phase, 'name'>>): Phase => ({
  name,
  repeat: 1,
  hops: 0,
  ramps: 0,
  wavelets: 0,
  steps: 0,
  tasks: 0,
  divisions: 0,
  vectors: [],
  ...counts,
});

/** Wavelets that carry `values` elements: a wavelet holds 32 bits. */
export const waveletsOf = (values: number, type: VectorType): number =>
  type === 'fp16' ? Math.ceil(values / 2) : values;
