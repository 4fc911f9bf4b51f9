import { definePass } from './pass.ts';

/** What must hold of the mapping as a whole; what holds of one pass stands with it. */
const laws: readonly { readonly law: string; holds(all: Checked, kvTokens: number): boolean }[] = [
  { law: 'no PE holds more than its SRAM', holds: ({ memory }) => memory.every(({ kv }) => kv >= 0) },
  {
    law: 'the KV cache that was asked for has room on every stage',
    holds: ({ memory }, kvTokens) => memory.every((plan) => (plan.kvTokens ?? Infinity) >= kvTokens),
  },
  {
    law: 'parts, regions, colors, memory and schedule are of the same stages',
    holds: ({ parts, places, colors, memory, schedule }) =>
      [places, colors, memory, schedule.stages].every((list) => list.length === parts.length),
  },
  {
    law: 'a token never goes back to a wafer that it left',
    holds: ({ places }) => places.every(({ wafer }, i) => i === 0 || wafer >= places[i - 1].wafer),
  },
];

type Checked = Pick<import('./pass.ts').Slots, 'parts' | 'places' | 'colors' | 'memory' | 'schedule'>;

export const verify = definePass({
  name: 'verify',
  sentence: 'Checks the mapping as a whole.',
  needs: ['parts', 'places', 'colors', 'memory', 'schedule'],
  gives: ['verified'],
  run: (slots, { kvTokens }) => ({
    verified: laws.filter(({ holds }) => holds(slots, kvTokens)).map(({ law }) => law),
  }),
  law: ({ verified }) => laws.map(({ law }) => law).filter((law) => !verified.includes(law)),
  show: ({ verified }) => verified,
});
