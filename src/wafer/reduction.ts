// The order in which partial results of a row of PEs are added: the two-level tree with roots in the middle
// (the K-tree with K = 2 of WaferLLM, OSDI'25, section 5). Inside a group, chains run from both ends to the
// middle PE; the group roots then do the same among themselves. fp32 addition is not associative, so an
// executor that claims to run the program must add in this order.

/**
 * `parts` PEs in a row hold one partial result each, in groups of `group` neighbours (the last may be short).
 * Part i covers elements [i * tile, min((i + 1) * tile, length)); a part past the end contributes 0.
 */
export interface ReductionPlan {
  readonly tile: number;
  readonly parts: number;
  readonly group: number;
}

/** Mesh axis: x runs west to east, y north to south. */
export type Axis = 'x' | 'y';

/** What of a program decides its sums. */
export interface MeshGroups {
  readonly mesh: { readonly width: number; readonly height: number };
  readonly groups: Readonly<Record<Axis, number>>;
}

/**
 * How a sum over `length` elements lying along `axis` is cut and ordered: the k index of a linear op and the
 * width of a norm lie along the axis of the op's input, cached positions along the other axis.
 */
export function reductionAlong({ mesh, groups }: MeshGroups, axis: Axis, length: number): ReductionPlan {
  const parts = axis === 'x' ? mesh.width : mesh.height;
  return { tile: Math.ceil(length / parts), parts, group: groups[axis] };
}

/** Index of the root of `count` neighbours: the middle, the higher one of two. */
export const rootOf = (count: number): number => count >> 1;

/** Where the two-level tree ends: the root of the middle group. */
export function treeRoot(parts: number, group: number): number {
  const from = rootOf(Math.ceil(parts / group)) * group;
  return from + rootOf(Math.min(group, parts - from));
}

/**
 * Sum `partial(0..parts-1)` in the plan's order, in the precision of `round` (Math.fround for fp32).
 * The executable definition; fast executors are compared with it bit for bit.
 */
export function reduceInOrder(
  plan: ReductionPlan,
  partial: (part: number) => number,
  round: (x: number) => number,
): number {
  const groups = Math.ceil(plan.parts / plan.group);
  const groupSum = (g: number): number => {
    const from = g * plan.group;
    const count = Math.min(plan.group, plan.parts - from);
    return twoChains(count, (i) => partial(from + i), round);
  };
  return twoChains(groups, groupSum, round);
}

/** root + (chain from index 0 up to the root) + (chain from the last index down to the root). */
function twoChains(count: number, value: (i: number) => number, round: (x: number) => number): number {
  const root = rootOf(count);
  let sum = value(root);
  if (root > 0) {
    let low = value(0);
    for (let i = 1; i < root; i++) low = round(low + value(i));
    sum = round(sum + low);
  }
  if (root < count - 1) {
    let high = value(count - 1);
    for (let i = count - 2; i > root; i--) high = round(high + value(i));
    sum = round(sum + high);
  }
  return sum;
}
