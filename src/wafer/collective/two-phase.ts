import { phase, waveletsOf } from '../phase.ts';
import { chainSteps } from './chain.ts';
import type { Collective } from './collective.ts';
import { createLineProgram } from './line-program.ts';

/**
 * Reduce by a chain inside each group, then a chain among the first PEs of the groups. The second chain
 * starts once the first has delivered, so the vector passes twice: with group size s,
 * 2 B + (2 T_R + 2)(s - 1) + (P / s - 1)(s + 2 T_R + 1).
 * Source: Luczynski et al., HPDC'24, two-phase reduce; the closed form for any s is derived in docs/model.md.
 */
export const twoPhase: Collective = {
  id: 'two-phase',
  does: 'reduce',
  about: 'chains inside groups, then a chain among the group leaders',
  colors: 4,
  phases: ({ parts, values, type, group }) => {
    const inner = Math.min(group, parts) - 1;
    const outer = Math.ceil(parts / group) - 1;
    const wavelets = waveletsOf(values, type);
    const first = phase('inside groups', { hops: inner, ramps: 2 * inner, steps: inner, wavelets });
    const second = phase('among groups', { hops: outer * group, ramps: 2 * outer, steps: outer, wavelets });
    return [...(inner > 0 ? [first] : []), ...(outer > 0 ? [second] : [])];
  },
  lower: (line, wafer) => {
    const program = createLineProgram(line, 'posted', wafer);
    const leaders: number[] = [];
    for (let leader = 0; leader < line.parts; leader += line.group) {
      const count = Math.min(line.group, line.parts - leader);
      chainSteps(
        program,
        Array.from({ length: count }, (_, i) => leader + i),
        [0, 1],
      );
      leaders.push(leader);
    }
    // The messages among leaders pass the PEs between them, so they have colors of their own.
    chainSteps(program, leaders, [2, 3]);
    return program.build([0]);
  },
};
