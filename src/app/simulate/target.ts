// What `ingot simulate` can run: everything that is lowered to a PE-level program.

import { didYouMean, fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Phase, VectorType } from '../../wafer/index.ts';
import type { MachineProgram, MemoryImage, MemoryReader } from '../../wafer/machine/index.ts';
import { collectiveTargets } from './collective-target.ts';
import { kernelTargets } from './kernel/index.ts';
import type { Chosen, Point } from './point.ts';

/** A size that the person may choose. */
export interface Size {
  readonly about: string;
  readonly max: number;
  /** Without a choice, on this mesh and with the sizes listed before; absent where the target then chooses by itself. */
  readonly otherwise:
    | ((mesh: { readonly width: number; readonly height: number }, sizes: Readonly<Record<string, number>>) => number)
    | undefined;
}

/** Of the values that a run leaves, how many were compared, and how many were as they should be. */
export interface Checked {
  readonly checked: number;
  readonly correct: number;
  /** Compared for equality; else within the error bound of the type. */
  readonly exact: boolean;
}

/** A target at one point, ready to run. */
export interface Prepared {
  readonly program: MachineProgram;
  readonly phases: readonly Phase[];
  /** Where there are several algorithms: the one that runs, and all of them, the cheapest first. */
  readonly chosen?: Chosen;
  inputs(): Iterable<MemoryImage>;
  check(memory: MemoryReader): Checked;
}

export interface Target {
  readonly id: string;
  /** A mesh collective runs over the whole mesh, a collective on every row of it. */
  readonly kind: 'collective' | 'mesh collective' | 'kernel';
  readonly about: string;
  readonly sizes: Readonly<Record<string, Size>>;
  /** What may be switched on, by name, in words. */
  readonly switches?: Readonly<Record<string, string>>;
  /** Types that it works in; absent: all. */
  readonly types?: readonly VectorType[];
  /** Kernels: collectives that they may sum by, the default first; absent when they sum nothing over PEs. */
  readonly reduces?: readonly string[];
  /** Ways to do it, the default first. */
  readonly algorithms?: readonly string[];
  /** Bytes of all tensors at a point, roughly: decides whether a run is begun. */
  bytes(point: Point): number;
  prepare(point: Point, wafer: Wafer): Prepared;
}

/** Every target by id. */
export const targets: Readonly<Record<string, Target>> = { ...collectiveTargets, ...kernelTargets };

/** @throws IngotError KERNEL_UNKNOWN, with the nearest id and the list */
export function findTarget(id: string): Target {
  if (Object.hasOwn(targets, id)) return targets[id];
  return fail({
    code: 'KERNEL_UNKNOWN',
    message: 'there is no such collective or kernel',
    where: id,
    expected: `one of ${Object.keys(targets).join(', ')}`,
    suggestion: didYouMean(id, Object.keys(targets)) ?? 'see ingot simulate --list',
  });
}

/** The sizes of a target: those given, and the others from the mesh and those before. */
export function sizesOf(
  { sizes }: Pick<Target, 'sizes'>,
  given: Readonly<Record<string, number>>,
  mesh: { readonly width: number; readonly height: number },
): Record<string, number> {
  const known: Record<string, number> = {};
  for (const [name, { otherwise }] of Object.entries(sizes)) {
    const size = given[name] ?? otherwise?.(mesh, known);
    if (size !== undefined) known[name] = size;
  }
  return known;
}
