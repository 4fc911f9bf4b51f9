// The compiler on one screen: graph to program in named passes. What a pass needs must have been given by one before
// it, and what it gives must satisfy its law; both are checked.

import { assert } from '../core/index.ts';
import { color } from './pass/color.ts';
import { fuse } from './pass/fuse.ts';
import { layout } from './pass/layout.ts';
import { memoryPlan } from './pass/memory-plan.ts';
import { partition } from './pass/partition.ts';
import type { Pass, Slot, Slots } from './pass/pass.ts';
import { place } from './pass/place.ts';
import { program } from './pass/program.ts';
import { prune } from './pass/prune.ts';
import { quantize } from './pass/quantize.ts';
import { schedule } from './pass/schedule.ts';
import { verify } from './pass/verify.ts';
import type { CompileOptions } from './request.ts';

export const passes: readonly Pass[] = [
  prune,
  fuse,
  quantize,
  partition,
  layout,
  place,
  color,
  memoryPlan,
  schedule,
  verify,
  program,
];

/** What is wrong with an order of passes; empty when each finds what it needs and no slot is given twice. */
export function orderErrors(order: readonly Pass[]): string[] {
  const given = new Map<Slot, string>();
  return order.flatMap(({ name, needs, gives }) => {
    const missing = needs
      .filter((slot) => !given.has(slot))
      .map((slot) => `${name} needs ${slot}, which no pass before it gives`);
    const twice = gives
      .filter((slot) => given.has(slot))
      .map((slot) => `${name} gives ${slot}, as ${given.get(slot)} does`);
    for (const slot of gives) given.set(slot, name);
    return [...missing, ...twice];
  });
}

/**
 * Run the passes.
 * @param watch is told of each pass that has run; `shown` gives what `--dump-after` prints of it
 * @throws IngotError of the passes; AssertionError where an order or a law does not hold
 */
export function runPipeline(
  options: CompileOptions,
  watch: (pass: Pass, shown: () => unknown) => void = () => {},
  order: readonly Pass[] = passes,
): Slots {
  const errors = orderErrors(order);
  assert(errors.length === 0, errors.join('; '));
  let slots: Partial<Slots> = {};
  for (const pass of order) {
    slots = { ...slots, ...pass.run(slots, options) };
    const broken = pass.law(slots, options);
    assert(broken.length === 0, `after pass ${pass.name}: ${broken.join('; ')}`);
    const now = slots;
    watch(pass, () => pass.show(now, options));
  }
  // The last pass gives what the slots before were for.
  return slots as Slots;
}
