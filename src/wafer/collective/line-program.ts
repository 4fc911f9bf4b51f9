// Puts a collective's messages and steps on a row of PEs and writes the PE-level program.

import type { Wafer } from '../../spec/index.ts';
import { machineProgram } from '../machine/index.ts';
import type { MachineProgram, PeSet, Port, Role, RoutePosition, RouteRule, Tile } from '../machine/index.ts';
import type { LineShape } from './collective.ts';
import { lineRole } from './line-role.ts';
import type { Step, Trigger } from './line-step.ts';

/**
 * A collective as a PE-level program. Every PE's values are in its object `x`; an odd number of fp16 is padded to whole
 * wavelets. What it leaves where stands in `outcome.ts`.
 */
export interface LoweredCollective {
  readonly program: MachineProgram;
  /** Positions along the line that hold the outcome at the end. */
  readonly results: readonly number[];
  /** The object that holds it, where that is not `x`. */
  readonly outcome?: string;
  /** What the PEs of each role do, so that kernels can do it on vectors of theirs: where it is a list of steps. */
  readonly line?: LineSteps;
}

export interface LineSteps {
  /** By role. */
  readonly steps: Readonly<Record<string, readonly Step[]>>;
  readonly trigger: Trigger;
}

type Switching = Pick<RouteRule, 'ring' | 'pop'> & { readonly positions: readonly RoutePosition[] };

/** @template S what a PE can be told to do */
export interface LineProgram<S = Step> {
  /** The PE's steps, after those it has. */
  does(pe: number, ...steps: S[]): void;
  /** A color carries one PE's wavelets to another, past those between. */
  message(color: number, from: number, to: number): void;
  /** A color carries one PE's wavelets to all between `low` and `high`, both included, except itself. */
  multicast(color: number, from: number, low: number, high: number): void;
  /** A color's switch positions at a PE, instead of a fixed route. */
  switched(pe: number, color: number, route: Switching): void;
  build(results: readonly number[]): LoweredCollective;
}

export const createLineProgram = (line: LineShape, trigger: Trigger, wafer: Wafer): LineProgram =>
  lineProgramOf(
    line.parts,
    wafer,
    (steps: readonly Step[]) => lineRole(steps, trigger, line.values, line.type, wafer),
    (steps) => ({ line: { steps, trigger } }),
  );

/**
 * West to east: PE 0 of the line is the westernmost.
 * @param roleOf the role of a PE that is told to do `steps`
 * @param more what to say of the steps of each role besides
 */
export function lineProgramOf<S>(
  parts: number,
  wafer: Wafer,
  roleOf: (steps: readonly S[]) => Role,
  more: (steps: Readonly<Record<string, readonly S[]>>) => Pick<LoweredCollective, 'line'> = () => ({}),
): LineProgram<S> {
  const steps: S[][] = Array.from({ length: parts }, () => []);
  const routesAt: Map<number, Switching>[] = Array.from({ length: parts }, () => new Map());
  const fixed = (pe: number, color: number, rx: Port, ...tx: Port[]): void => {
    routesAt[pe].set(color, { positions: [{ rx: [rx], tx }] });
  };
  return {
    does(pe, ...more) {
      steps[pe].push(...more);
    },
    message(color, from, to) {
      const step = Math.sign(to - from);
      const [ahead, behind] = step > 0 ? (['E', 'W'] as const) : (['W', 'E'] as const);
      fixed(from, color, 'R', ahead);
      for (let pe = from + step; pe !== to; pe += step) fixed(pe, color, behind, ahead);
      fixed(to, color, behind, 'R');
    },
    multicast(color, from, low, high) {
      for (let pe = low; pe < from; pe++)
        fixed(pe, color, 'E', ...(pe > low ? (['R', 'W'] as const) : (['R'] as const)));
      for (let pe = high; pe > from; pe--)
        fixed(pe, color, 'W', ...(pe < high ? (['R', 'E'] as const) : (['R'] as const)));
      fixed(from, color, 'R', ...(low < from ? (['W'] as const) : []), ...(high > from ? (['E'] as const) : []));
    },
    switched(pe, color, route) {
      routesAt[pe].set(color, route);
    },
    build(results) {
      const routes: RouteRule[] = alike(
        routesAt.flatMap((byColor, pe) => [...byColor].map(([color, route]) => ({ pe, value: { color, ...route } }))),
      ).map(({ on, value }) => ({ on, ...value }));
      const roles: Record<string, Role> = {};
      const stepsOf: Record<string, readonly S[]> = {};
      const tiles: Tile[] = alike(steps.map((value, pe) => ({ pe, value }))).map(({ on, value, kind }) => {
        const name = `role ${kind}`;
        stepsOf[name] = value;
        roles[name] ??= roleOf(value);
        return { on, role: name };
      });
      return {
        program: machineProgram(wafer, { width: parts, height: 1 }, { routes, roles, tiles }),
        results,
        ...more(stepsOf),
      };
    },
  };
}

/** PEs with equal values, as few evenly spaced sets; `kind` numbers the distinct values. */
function alike<T>(
  items: readonly { readonly pe: number; readonly value: T }[],
): { on: PeSet; value: T; kind: number }[] {
  const kinds = new Map<string, { value: T; pes: number[] }>();
  for (const { pe, value } of items) {
    const key = JSON.stringify(value);
    const known = kinds.get(key);
    if (known === undefined) kinds.set(key, { value, pes: [pe] });
    else known.pes.push(pe);
  }
  return [...kinds.values()].flatMap(({ value, pes }, kind) => spaced(pes).map((on) => ({ on, value, kind })));
}

/** Numbers in order as few evenly spaced runs, in x. */
export function spaced(pes: readonly number[]): PeSet[] {
  const sets: PeSet[] = [];
  for (let i = 0; i < pes.length; ) {
    const step = (pes[i + 1] ?? pes[i] + 1) - pes[i];
    let count = 1;
    while (pes[i + count] === pes[i] + count * step) count++;
    sets.push({ x: pes[i], y: 0, width: count, height: 1, ...(step > 1 && count > 1 ? { stepX: step } : {}) });
    i += count;
  }
  return sets;
}
