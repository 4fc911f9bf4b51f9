// Executors of one machine take turns, step by step: a step uses every core, and two at once would only wait for each other's
// threads at every barrier.

import type { Executor, Logits } from './executor.ts';

/** Runs tasks one after the other, in the order in which they came. */
export type Turns = <T>(task: () => Promise<T>) => Promise<T>;

export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const turn = last.then(task);
    last = turn.catch(() => undefined);
    return turn;
  };
}

/** The same executor, whose steps wait for their turn. */
export const inTurns = <L extends Logits>(executor: Executor<L>, turns: Turns): Executor<L> => ({
  ...executor,
  execute: (batch) => turns(() => executor.execute(batch)),
});
