// The two-level tree on every line of PEs along one axis, lowered once for everything that a kernel sums along it:
// routes, colors and tasks serve every use, and only the vector and what is done to it differ
// (WaferLLM, OSDI'25: one reduce routine, called ten times in a decode layer).

import type { Wafer } from '../../../spec/index.ts';
import { lowerBroadcast } from '../../collective/broadcast.ts';
import type { LoweredCollective } from '../../collective/index.ts';
import { createLineProgram } from '../../collective/line-program.ts';
import { moved, wholeWavelets, type Step } from '../../collective/line-step.ts';
import { innerColors, sendsDown, twoLevel } from '../../collective/two-level.ts';
import type { RouteRule } from '../../machine/index.ts';
import type { VectorType } from '../../phase.ts';
import { rootOf, treeRoot, type Axis } from '../../reduction.ts';
import { along } from '../kernel.ts';
import { onLines } from './all-reduce.ts';
import type { ShiftLine } from './cached-rows.ts';
import type { LineStage, Mesh } from './sequence.ts';

export interface TreeLine {
  /** Every PE of a line ends with the sum, or the largest, of the line's `values` of the object. */
  allReduce(object: string, values: number, combine?: 'add' | 'max'): LineStage[];
  /** The same inside each group. */
  allReduceGroups(object: string, values: number): LineStage[];
  /** Messages from each PE to the one before it: along the tree's chains where these go that way. */
  readonly shift: ShiftLine;
}

export interface TreeLineOptions {
  readonly axis: Axis;
  readonly type: VectorType;
  /** PEs per group. */
  readonly group: number;
  /** Whether there are all-reduces inside groups, which take a color. */
  readonly groups?: boolean;
  /** PEs that send messages to the one before, which takes two colors. */
  readonly shifting?: Iterable<number>;
}

export function treeLine(mesh: Mesh, options: TreeLineOptions, wafer: Wafer): TreeLine {
  const { axis, type, group } = options;
  const parts = along(axis, mesh);
  const line = { parts, values: 1, type, group };
  const tree = twoLevel.lower(line, wafer);
  const back = lowerBroadcast(line, treeRoot(parts, group), wafer);
  const groupsBack = createLineProgram(line, 'posted', wafer);
  for (let from = 0; from < parts; from += group) {
    const count = Math.min(group, parts - from);
    const root = from + rootOf(count);
    if (count === 1) continue;
    groupsBack.multicast(0, root, from, from + count - 1);
    for (let pe = from; pe < from + count; pe++) groupsBack.does(pe, { do: pe === root ? 'send' : 'take', color: 0 });
  }
  const toGroups = groupsBack.build([]);
  const shifting = createLineProgram(line, 'posted', wafer);
  const backColor = twoLevel.colors;
  const shiftColor = (pe: number): number => sendsDown(pe, line) ?? backColor + 1 + (pe & 1);
  for (const pe of options.shifting ?? [])
    if (sendsDown(pe, line) === undefined) shifting.message(shiftColor(pe), pe, pe - 1);

  const inColor = ({ program }: LoweredCollective, first: number): RouteRule[] =>
    program.routes.map((rule) => ({ ...rule, color: rule.color + first }));
  const routes = [
    ...tree.program.routes,
    ...inColor(back, backColor),
    ...(options.groups === true ? inColor(toGroups, backColor + 1) : []),
    ...shifting.build([]).program.routes,
  ];
  const key = `tree along ${axis}`;
  const placed = onLines({ ...tree.program, routes }, axis, mesh).routes;
  const stage = (
    { program, line: does }: LoweredCollective,
    steps: LineStage['steps'],
    use: LineStage['use'],
  ): LineStage => ({
    routes: placed,
    tiles: onLines(program, axis, mesh).tiles,
    steps,
    trigger: does?.trigger ?? 'posted',
    use,
    line: key,
  });
  const mapSteps = (
    { line: does }: LoweredCollective,
    change: (list: readonly Step[]) => readonly Step[],
  ): Record<string, readonly Step[]> =>
    Object.fromEntries(Object.entries(does?.steps ?? {}).map(([role, list]) => [role, change(list)]));
  const from = (first: number) => (list: readonly Step[]) => list.map((step) => moved(step, first));
  const all = mapSteps(tree, (list) => list);
  const inner = mapSteps(tree, (list) => list.filter(({ color }) => color < innerColors));
  const whole = mapSteps(back, from(backColor));
  const within = mapSteps(toGroups, from(backColor + 1));

  return {
    allReduce(object, values, combine = 'add') {
      if (parts === 1) return [];
      const use = { object, length: wholeWavelets(values, type), type, combine };
      return [stage(tree, all, use), stage(back, whole, use)];
    },
    allReduceGroups(object, values) {
      if (parts === 1 || group === 1) return [];
      const use = { object, length: wholeWavelets(values, type), type, combine: 'add' } as const;
      return [stage(tree, inner, use), stage(toGroups, within, use)];
    },
    shift: { routes, color: shiftColor, line: key },
  };
}
