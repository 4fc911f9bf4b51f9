// One simulation: what is asked for, and what a run of it says. Plain values, so that they cross threads and
// become JSON as they are.

import type { PeSet } from '../../wafer/machine/index.ts';
import type { CycleBreakdown, CycleCounts } from '../../sim/index.ts';
import type { VectorType } from '../../wafer/index.ts';

/** What to simulate. */
export interface Point {
  /** Key of `targets`. */
  readonly kernel: string;
  readonly width: number;
  readonly height: number;
  readonly type: VectorType;
  readonly wafer: string;
  /** Of the input values. */
  readonly seed: number;
  /** Sizes by name, as `Target.sizes` lists them. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Of `Target.switches`, those that are on. */
  readonly switches?: readonly string[];
  /** One of `Target.reduces`, where there are any. */
  readonly reduce?: string;
  /** One of `Target.algorithms`, where there are any. */
  readonly algorithm?: string;
}

/** An algorithm at its best group size, in cycles of the closed form. */
export interface Ranked {
  readonly algorithm: string;
  readonly group: number;
  readonly closedForm: number;
}

export interface Chosen extends Ranked {
  readonly about: string;
  readonly ranked: readonly Ranked[];
}

/** What to write or keep besides the report. */
export interface Wanted {
  /** Id of an engine, or `auto`. */
  readonly engine: string;
  /** Follow the critical path. */
  readonly breakdown: boolean;
  /** Keep totals of every PE for a heat map. */
  readonly perPe: boolean;
  readonly trace?: { readonly file: string; readonly region: PeSet; readonly links: boolean };
}

/** Of a published row with the same shape. */
export interface PublishedMatch {
  readonly id: string;
  readonly value: number;
  readonly unit: string;
  readonly kind: string;
  readonly source: string;
  /** simulated / published - 1 */
  readonly error: number;
}

export interface PointReport extends Omit<Point, 'width' | 'height' | 'wafer'> {
  readonly about: string;
  readonly standing: 'simulated';
  readonly wafer: { readonly id: string; readonly name: string };
  readonly mesh: { readonly width: number; readonly height: number };
  readonly pes: number;
  /** Where an algorithm was asked for (`auto` or by name): the one that ran. */
  readonly chosen?: Chosen;
  readonly cycles: number;
  /** Cycles by the closed form: the counts of `phases()` at the same constants. */
  readonly closedForm: number;
  readonly published: readonly PublishedMatch[];
  /** Cycles on the critical path by cause; they add up to `cycles`. Absent when not asked for. */
  readonly breakdown?: CycleBreakdown;
  readonly counts: CycleCounts;
  readonly utilisation: {
    /** Shares of all cycles in which a CE executed: mean over all PEs, and the busiest. */
    readonly ce: number;
    readonly busiestCe: number;
    /** Shares of all cycles in which a link carried a wavelet: mean over the links that carried any, and the fullest. */
    readonly link: number;
    readonly fullestLink: number;
    readonly linksUsed: number;
  };
  readonly colors: { readonly used: number; readonly usable: number };
  /** Bytes in the fullest PE. */
  readonly sram: { readonly objects: number; readonly code: number; readonly capacity: number };
  readonly values: { readonly checked: number; readonly correct: number; readonly exact: boolean };
  /** Cycles of the constants that the timing rests on. */
  readonly constants: {
    readonly hop: number;
    readonly ramp: number;
    readonly vectorStartup: number;
    readonly taskStart: number;
  };
  /** Id of the engine that ran. */
  readonly engine: string;
  readonly wallSeconds: number;
  readonly trace?: { readonly file: string; readonly events: number; readonly cutAt?: number };
}

/** Totals of every PE, row by row, for pictures. */
export interface PerPe {
  readonly busy: Int32Array;
  readonly stalled: Int32Array;
  /** Wavelets on the fullest of the PE's outgoing links. */
  readonly link: Int32Array;
}

export interface PointOutcome {
  readonly report: PointReport;
  readonly perPe?: PerPe;
}
