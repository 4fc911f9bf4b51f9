// What a pass is, and the slots that passes read and write.

import type { Graph, Op } from '../../model/index.ts';
import type { Axis, MemoryPlan, Numerics, Program, Region } from '../../wafer/index.ts';
import type { PlacedRegion } from '../grid.ts';
import type { CompileOptions, Detours } from '../request.ts';
import type { Search } from '../search.ts';
import type { Sections, StageRange } from '../sections.ts';

/** Kernels of one section, each of one or several ops; layers of one kind are one section. */
export interface FusedSection {
  readonly name: string;
  readonly layers: readonly number[];
  readonly kernels: readonly (readonly Op[])[];
}

/** How a kernel's tensors lie over its region. */
export interface KernelLayout {
  readonly kernel: string;
  /** Mesh axis along which the input is cut, and along which the output is. */
  readonly input: Axis;
  readonly output: Axis;
  /** Elements of the fullest PE: of a matrix inputs by outputs, of a vector its piece. */
  readonly tile: readonly number[];
}

export interface StageLayout {
  readonly section: string;
  readonly region: string;
  readonly kernels: readonly KernelLayout[];
}

/** Colors of a region: who uses which. No two users share one. */
export interface RegionColors {
  readonly users: readonly { readonly user: string; readonly colors: readonly number[] }[];
}

/** Seconds of one token at the context that placements are compared at. */
export interface Schedule {
  /** Most tokens that pass a stage together. */
  readonly chunk: number;
  /** By stage: its own work, and handing the values on. */
  readonly stages: readonly { readonly work: number; readonly handOn: number }[];
  readonly slowest: number;
  /** Micro-batches in flight at which no stage waits for another token. */
  readonly toFill: number;
}

/** What passes hand on. Each slot is given by one pass. */
export interface Slots {
  readonly graph: Graph;
  readonly sections: Sections;
  readonly fused: readonly FusedSection[];
  readonly numerics: Numerics;
  readonly search: Search;
  readonly parts: readonly StageRange[];
  readonly layouts: readonly StageLayout[];
  readonly places: readonly PlacedRegion[];
  readonly detours: readonly Detours[];
  readonly colors: readonly RegionColors[];
  readonly memory: readonly MemoryPlan[];
  readonly schedule: Schedule;
  readonly verified: readonly string[];
  readonly program: Program;
}

export type Slot = keyof Slots;

/** One step of the compiler. */
export interface Pass {
  readonly name: string;
  /** What it does, in one sentence. */
  readonly sentence: string;
  /** Slots that it reads and slots that it fills; checked before anything runs. */
  readonly needs: readonly Slot[];
  readonly gives: readonly Slot[];
  run(slots: Partial<Slots>, options: CompileOptions): Partial<Slots>;
  /** What does not hold of what the pass gave; empty when all is well. Checked after the pass has run. */
  law(slots: Partial<Slots>, options: CompileOptions): readonly string[];
  /** What `--dump-after` shows of what the pass gave, as plain data. */
  show(slots: Partial<Slots>, options: CompileOptions): unknown;
}

/** A pass that is typed by the slots that it names. */
export function definePass<N extends Slot, G extends Slot>(pass: {
  readonly name: string;
  readonly sentence: string;
  readonly needs: readonly N[];
  readonly gives: readonly G[];
  run(slots: Pick<Slots, N>, options: CompileOptions): Pick<Slots, G>;
  law(slots: Pick<Slots, N | G>, options: CompileOptions): readonly string[];
  show(slots: Pick<Slots, N | G>, options: CompileOptions): unknown;
}): Pass {
  // The pipeline has checked that what a pass needs is there.
  return pass as unknown as Pass;
}

export const shapeOf = ({ width, height }: Pick<Region, 'width' | 'height'>): string => `${width}x${height}`;
