import type { Phase } from '../phase.ts';
import { rootOf } from '../reduction.ts';
import type { Collective, LineShape } from './collective.ts';
import { drivenChains } from './driven-chains.ts';
import { createLineProgram, type LineProgram } from './line-program.ts';

/**
 * The K-tree with K = 2 of WaferLLM (OSDI'25, section 5): chains from both ends of each group to its middle
 * PE, then chains from both ends of the row of group roots to the middle root. The additions happen in the
 * order of `reduceInOrder`.
 *
 * Unlike in `chain`, the PEs that pass values on are driven by them (`drivenChains`). The counts begin with the
 * instruction that sends; `lower` begins with the task that issues it.
 */
export const twoLevel: Collective = {
  id: 'two-level',
  does: 'reduce',
  about: 'chains from both ends to the middle of each group, then among the group roots (K-tree, K = 2)',
  colors: 8,
  phases: (line) => {
    const groups = Math.ceil(line.parts / line.group);
    const inner = level('inside groups', Math.min(line.group, line.parts), 1, line);
    const outer = level('among group roots', groups, line.group, line);
    return [...inner, ...outer];
  },
  lower: (line, wafer) => {
    const program = createLineProgram(line, 'driven', wafer);
    const roots: number[] = [];
    for (let from = 0; from < line.parts; from += line.group) {
      const count = Math.min(line.group, line.parts - from);
      roots.push(from + rootOf(count));
      toMiddle(
        program,
        Array.from({ length: count }, (_, i) => from + i),
        0,
      );
    }
    toMiddle(program, roots, innerColors);
    return program.build([roots[rootOf(roots.length)]]);
  },
};

/** Colors of the chains inside groups; those among the group roots follow. */
export const innerColors = 4;

/** The color by which a PE sends to the one before it, when it does so inside its group. */
export function sendsDown(pe: number, { parts, group }: LineShape): number | undefined {
  const from = pe - (pe % group);
  const count = Math.min(group, parts - from);
  return pe > from + rootOf(count) ? innerColors / 2 + ((from + count - 1 - pe) & 1) : undefined;
}

/** Chains from both ends of `pes` to their middle, in four colors from `color` on. */
function toMiddle(program: LineProgram, pes: readonly number[], color: number): void {
  const root = rootOf(pes.length);
  // From an end inwards: PE i of a side sends by one of the side's two colors in turn.
  const side = (end: number, inwards: number, colors: readonly [number, number]): void => {
    if (end === root) return;
    for (let i = end, n = 0; i !== root; i += inwards, n++) {
      const out = colors[n & 1];
      program.message(out, pes[i], pes[i + inwards]);
      program.does(pes[i], n === 0 ? { do: 'send', color: out } : { do: 'relay', color: colors[(n + 1) & 1], to: out });
    }
    program.does(pes[root], { do: 'add', color: colors[(Math.abs(root - end) + 1) & 1] });
  };
  side(0, 1, [color, color + 1]);
  side(pes.length - 1, -1, [color + 2, color + 3]);
}

/** The root takes the high chain after the low one, unless it is the last PE itself. */
const level = (name: string, count: number, distance: number, line: LineShape): Phase[] =>
  drivenChains(name, rootOf(count), distance, rootOf(count) === count - 1 ? 1 : 2, line);
