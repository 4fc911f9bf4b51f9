import { phase, waveletsOf } from '../phase.ts';
import type { Phase } from '../phase.ts';
import { rootOf } from '../reduction.ts';
import type { Collective } from './collective.ts';
import { createLineProgram } from './line-program.ts';
import type { LineProgram } from './line-program.ts';

/**
 * The K-tree with K = 2 of WaferLLM (OSDI'25, section 5): chains from both ends of each group to its middle
 * PE, then chains from both ends of the row of group roots to the middle root. The additions happen in the
 * order of `reduceInOrder`.
 *
 * Unlike `chain`, a PE learns of arriving values by a task: the first wavelet starts it, it issues a vector
 * instruction that adds the stream to its own values and sends it on. So a stage pays a task start and a
 * vector start-up besides its hops and ramps, and the values stream behind. A root takes its two chains one
 * after the other.
 */
export const twoLevel: Collective = {
  id: 'two-level',
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
    toMiddle(program, roots, 4);
    return program.build([roots[rootOf(roots.length)]]);
  },
};

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

function level(
  name: string,
  count: number,
  distance: number,
  { values, type }: { values: number; type: 'fp16' | 'fp32' },
): Phase[] {
  if (count <= 1) return [];
  const stages = Math.max(rootOf(count), count - 1 - rootOf(count));
  const wavelets = waveletsOf(values, type);
  const streams = count > 2 ? 2 : 1;
  return [
    phase(name, {
      hops: stages * distance,
      ramps: 2 * stages,
      tasks: stages,
      wavelets: streams * wavelets,
      // Every stage issues the instruction that adds and forwards; the root issues one per arriving chain.
      vectors: [{ count: stages + streams - 1, length: 0, type }],
    }),
  ];
}
