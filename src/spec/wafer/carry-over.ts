import type { Fact } from '../fact.ts';
import type { WaferFacts } from './wafer-facts.ts';

/**
 * The facts of one generation as assumptions about another: same values, standing `assumed`. A variant spreads
 * this and then states what is known of it, so nothing about one machine passes for published about the next.
 */
export function carryOver(parent: WaferFacts, to: string): WaferFacts {
  const assumed = Object.entries(parent).map(([key, fact]: [string, string | Fact]) =>
    typeof fact === 'string'
      ? [key, fact]
      : [key, { ...fact, basis: `${fact.basis}; as ${parent.name}, taken over for ${to}`, standing: 'assumed' }],
  );
  return Object.fromEntries(assumed) as WaferFacts;
}
