// Real time at the wafer's pace: what a step has produced goes out when the wafer would have produced it, and the next
// step begins then. A machine that falls behind does not wait; how far it is behind, and with how many sequences at
// once, is counted, so that nobody takes its delays for the wafer's.

import { seconds, type Clock, type Seconds } from '../core/index.ts';

export interface PaceCounts {
  readonly steps: number;
  /** Steps that went out late by more than the tolerance. */
  readonly lateSteps: number;
  /** Sum and largest of what all steps were late by. */
  readonly lateSeconds: number;
  readonly worstSeconds: number;
  /**
   * The fewest sequences in one step with which at least half of the steps were late, and more time was lost than made up for;
   * absent where that is so for none. A machine that stood still for a moment and catches up is late, but not behind.
   */
  readonly behindFrom?: number;
}

export interface Pacer {
  /** The engine was idle; the wafer's time goes on from here. */
  begin(now: Seconds): void;
  /** Resolves when a step that takes `time` on the wafer and begins where the last one ended is over there. */
  release(time: Seconds, sequences: number): Promise<void>;
  readonly counts: PaceCounts;
}

/** Late by more than this share of its step, and by more than a timer's noise, is late. */
const TOLERANCE = 0.02;
const NOISE: Seconds = seconds(50e-6);
/** Late steps are counted by sequences up to 1, 2, 4, …; fewer steps than this say nothing of a class. */
const FEWEST_STEPS = 20;

/** @param until resolves at a time of `clock`, or at once where it is past */
export function createPacer(clock: Clock, until: (time: Seconds) => Promise<void>): Pacer {
  let due = clock.now();
  let [steps, lateSteps, lateSeconds, worstSeconds] = [0, 0, 0, 0];
  const classes: { steps: number; late: number; time: number; lost: number }[] = [];
  /** What the last step was late by. */
  let lateBefore = 0;

  function note(late: number, time: Seconds, sequences: number): void {
    steps++;
    const counted = (classes[Math.ceil(Math.log2(sequences))] ??= { steps: 0, late: 0, time: 0, lost: 0 });
    counted.steps++;
    counted.time += time;
    counted.lost += late - lateBefore;
    lateBefore = late;
    lateSeconds += late;
    worstSeconds = Math.max(worstSeconds, late);
    if (late <= NOISE + TOLERANCE * time) return;
    lateSteps++;
    counted.late++;
  }

  return {
    begin(now) {
      due = now;
      lateBefore = 0;
    },
    async release(time, sequences) {
      due = seconds(due + time);
      await until(due);
      note(Math.max(0, clock.now() - due), time, sequences);
    },
    get counts() {
      const behind = (c: (typeof classes)[number] | undefined): boolean =>
        c !== undefined && c.steps >= FEWEST_STEPS && 2 * c.late >= c.steps && c.lost > TOLERANCE * c.time;
      const at = classes.findIndex(behind);
      return {
        steps,
        lateSteps,
        lateSeconds,
        worstSeconds,
        ...(at < 0 ? {} : { behindFrom: at === 0 ? 1 : 2 ** (at - 1) + 1 }),
      };
    },
  };
}
