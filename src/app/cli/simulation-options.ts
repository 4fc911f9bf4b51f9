// From the words of a command line to the points that are simulated.

import { didYouMean, fail } from '../../core/index.ts';
import type { PeSet } from '../../wafer/machine/index.ts';
import type { VectorType } from '../../wafer/index.ts';
import type { Point } from '../simulate/point.ts';
import { findTarget, sizesOf, type Target } from '../simulate/target.ts';
import { invalid, parseMesh, type Mesh } from './command.ts';

/** Points of one sweep. */
export const MAX_POINTS = 1_000;

/** One thing that is varied, and its values in order. */
export interface Sweep {
  readonly name: string;
  readonly values: readonly string[];
}

export interface PointOptions {
  readonly mesh: Mesh;
  readonly type: VectorType;
  readonly wafer: string;
  readonly seed: number;
  /** Sizes that were given, by name. */
  readonly sizes: Readonly<Record<string, number>>;
  /** What was switched on. */
  readonly switches: readonly string[];
  /** The collective that was given for a kernel. */
  readonly reduce?: string;
  /** The algorithm that was given for a collective over the mesh. */
  readonly algorithm?: string;
}

const WHOLE = /^\d{1,9}$/;

/** NAME=VALUE,VALUE,…; values are read later, when the kernel is known. */
export function parseSweep(flags: string, text: string): Sweep {
  const [, name, list] = /^([\w-]+)=([^=]+)$/.exec(text) ?? [];
  if (name === undefined) return invalid(flags, 'NAME=VALUE,VALUE,...', text, 'for example mesh=8x8,16x16');
  return { name, values: list.split(',').map((value) => value.trim()) };
}

/** N, the first N PEs row by row; or WIDTHxHEIGHT+X+Y, a rectangle. */
export type Region = number | PeSet;

export function parseRegion(flags: string, text: string): Region {
  const [, width, height, x, y] = /^(\d{1,4})x(\d{1,4})\+(\d{1,4})\+(\d{1,4})$/.exec(text) ?? [];
  if (width !== undefined && Number(width) > 0 && Number(height) > 0)
    return { x: Number(x), y: Number(y), width: Number(width), height: Number(height) };
  if (WHOLE.test(text) && Number(text) > 0) return Number(text);
  return invalid(flags, 'a number of PEs, or WIDTHxHEIGHT+X+Y', text, 'for example 16, or 4x4+0+8');
}

/**
 * The PEs of a region on a mesh. The first N are whole rows once N exceeds one row.
 * @throws IngotError REGION_OUTSIDE
 */
export function regionOn(region: Region, { width, height }: Mesh): PeSet {
  if (typeof region === 'number') {
    const across = Math.min(region, width);
    return { x: 0, y: 0, width: across, height: Math.min(height, Math.max(1, Math.floor(region / width))) };
  }
  if (region.x + region.width > width || region.y + region.height > height)
    fail({
      code: 'REGION_OUTSIDE',
      message: 'the region of the trace is not inside the mesh',
      expected: `inside ${width}x${height}`,
      found: `${region.width}x${region.height}+${region.x}+${region.y}`,
    });
  return region;
}

/**
 * Every combination, the first sweep varying slowest.
 * @throws IngotError KERNEL_UNKNOWN, SIZE_UNUSED, SIZE_OUT_OF_RANGE, REDUCE_UNKNOWN, ALGORITHM_UNKNOWN, SWEEP_UNKNOWN, SWEEP_TOO_LARGE; UsageError for a value that cannot be read
 */
export function pointsOf(kernel: string, given: PointOptions, sweeps: readonly Sweep[]): Point[] {
  const target = findTarget(kernel);
  const known = [
    'mesh',
    'type',
    ...(target.reduces === undefined ? [] : ['reduce']),
    ...(target.algorithms === undefined ? [] : ['algorithm']),
    ...Object.keys(target.sizes),
  ];
  for (const { name } of sweeps) if (!known.includes(name)) unknownSweep(name, target, known);
  const count = sweeps.reduce((n, { values }) => n * values.length, 1);
  if (count > MAX_POINTS)
    fail({
      code: 'SWEEP_TOO_LARGE',
      message: 'too many points',
      expected: `at most ${MAX_POINTS}`,
      found: String(count),
    });
  for (const name of Object.keys(given.sizes)) if (!Object.hasOwn(target.sizes, name)) unusedSize(name, target);
  for (const name of given.switches) if (!Object.hasOwn(target.switches ?? {}, name)) unusedSize(name, target);

  let combinations: PointOptions[] = [given];
  for (const { name, values } of sweeps)
    combinations = combinations.flatMap((options) => values.map((value) => withValue(options, name, value)));
  return combinations
    .map((options) => {
      const { mesh, type, wafer, seed, sizes, switches } = options;
      const { reduce = target.reduces?.[0], algorithm = target.algorithms?.[0] } = options;
      return {
        kernel,
        width: mesh.width,
        height: mesh.height,
        type,
        wafer,
        seed,
        reduce,
        algorithm,
        ...(switches.length === 0 ? {} : { switches }),
        sizes: sizesOf(target, sizes, mesh),
      };
    })
    .map((point) => checkSizes(point, target));
}

const FLAGS = '--sweep';

function withValue(options: PointOptions, name: string, value: string): PointOptions {
  if (name === 'mesh') return { ...options, mesh: parseMesh(FLAGS, value) };
  if (name === 'type')
    return value === 'fp16' || value === 'fp32' ? { ...options, type: value } : invalid(FLAGS, 'fp16 or fp32', value);
  if (name === 'reduce' || name === 'algorithm') return { ...options, [name]: value };
  if (!WHOLE.test(value)) return invalid(FLAGS, `whole numbers for ${name}`, value);
  return { ...options, sizes: { ...options.sizes, [name]: Number(value) } };
}

function checkSizes(point: Point, target: Target): Point {
  if (target.types?.includes(point.type) === false)
    fail({
      code: 'TYPE_UNSUPPORTED',
      message: `${target.id} does not work in ${point.type}`,
      where: '--type',
      expected: target.types.join(', '),
    });
  if (point.reduce !== undefined && target.reduces?.includes(point.reduce) !== true)
    fail({
      code: 'REDUCE_UNKNOWN',
      message: `${target.id} cannot sum by "${point.reduce}"`,
      where: '--reduce',
      expected: target.reduces === undefined ? 'nothing: it sums nothing over PEs' : target.reduces.join(', '),
    });
  if (point.algorithm !== undefined && target.algorithms?.includes(point.algorithm) !== true)
    fail({
      code: 'ALGORITHM_UNKNOWN',
      message: `${target.id} cannot be done by "${point.algorithm}"`,
      where: '--algorithm',
      expected: target.algorithms === undefined ? 'nothing: there is one way only' : target.algorithms.join(', '),
      suggestion: didYouMean(point.algorithm, target.algorithms ?? []),
    });
  for (const [name, value] of Object.entries(point.sizes))
    if (value < 1 || value > target.sizes[name].max)
      fail({
        code: 'SIZE_OUT_OF_RANGE',
        message: `${name} of ${target.id} is out of range`,
        expected: `1 to ${target.sizes[name].max}`,
        found: String(value),
      });
  return point;
}

const unusedSize = (name: string, target: Target): never =>
  fail({
    code: 'SIZE_UNUSED',
    message: `${target.id} has no such size`,
    where: `--${name}`,
    expected: [...Object.keys(target.sizes), ...Object.keys(target.switches ?? {})]
      .map((size) => `--${size}`)
      .join(', '),
    suggestion: 'leave it out; "ingot simulate --list" shows what each takes',
  });

const unknownSweep = (name: string, target: Target, known: readonly string[]): never =>
  fail({
    code: 'SWEEP_UNKNOWN',
    message: `${target.id} has nothing of that name to vary`,
    where: `--sweep ${name}`,
    expected: known.join(', '),
    suggestion: didYouMean(name, known),
  });
