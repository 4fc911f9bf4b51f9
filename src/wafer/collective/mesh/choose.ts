// The cheapest way to do a collective, by counts and a price that the caller brings. Compilers may ask it too: they
// are handed a price as they are handed a cost.

import { fail } from '../../../core/index.ts';
import type { Phase } from '../../phase.ts';
import { groupSize } from '../all-reduce.ts';
import type { Need } from '../collective.ts';
import { meshCollectives } from './list.ts';
import type { MeshCollective, MeshShape } from './mesh-collective.ts';

export interface Choice {
  readonly collective: MeshCollective;
  /** PEs per group; the one given where the algorithm has no groups. */
  readonly group: number;
  readonly cost: number;
}

/**
 * @param shape a line or a mesh; without `group` every power of two and the square roots of the sides are tried
 * @param price cost of phases that follow one another, in any unit
 * @returns the ways that the mesh allows, each with its best group, the cheapest first; ties in the order of the list
 */
export function chooseCollective(
  need: Need,
  shape: Omit<MeshShape, 'group'> & { readonly group?: number },
  price: (phases: readonly Phase[]) => number,
): readonly [Choice, ...Choice[]] {
  const sides = [shape.width, shape.height].filter((side) => side > 1);
  const groups = shape.group === undefined ? groupsOf(Math.max(...sides, 1), sides.map(groupSize)) : [shape.group];
  const choices = meshCollectives[need]
    .filter((collective) => collective.accepts({ ...shape, group: groups[0] }))
    .map((collective) =>
      groups
        .map((group): Choice => ({ collective, group, cost: price(collective.phases({ ...shape, group })) }))
        .reduce((best, choice) => (choice.cost < best.cost ? choice : best)),
    )
    .sort((a, b) => a.cost - b.cost);
  const [best, ...rest] = choices;
  if (best === undefined)
    fail({
      code: 'COLLECTIVE_SHAPE',
      message: `there is no ${need} for a mesh of several rows and columns`,
      found: `${shape.width} x ${shape.height}`,
      suggestion: `run it on every row: a mesh of ${shape.width} x 1`,
    });
  return [best, ...rest];
}

function groupsOf(largest: number, first: readonly number[]): number[] {
  const powers: number[] = [];
  for (let group = 2; group < largest; group *= 2) powers.push(group);
  return first.length === 0 ? [1] : [...new Set([...first, ...powers])];
}
