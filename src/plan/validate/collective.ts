import { priceSequence } from '../../sim/index.ts';
import { chooseCollective, type Need } from '../../wafer/index.ts';
import { clockOf, count, elementType, pair, text, wafer } from './conditions.ts';
import type { Predictor } from './predictor.ts';

/** By what a row calls its quantity; the longer names come first, for they hold shorter ones. */
const needs: readonly (readonly [RegExp, Need])[] = [
  [/reduce-?scatter/i, 'reduce-scatter'],
  [/all-?reduce/i, 'all-reduce'],
  [/all-?gather/i, 'all-gather'],
  [/all-?to-?all/i, 'all-to-all'],
  [/broadcast/i, 'broadcast'],
  [/reduce/i, 'reduce'],
];

/** Cycles of a collective over a line or a mesh of PEs. */
export const collective: Predictor = {
  group: 'collective',
  reads: ['machine', 'shape', 'words', 'dtype', 'algorithm', 'groupSize', 'clockGHz'],
  answers: `cycles or us of ${needs.map(([, need]) => need).join(', ')}, by an algorithm that "ingot simulate --list" names or by the cheapest`,
  predict(row) {
    const need = needs.find(([name]) => name.test(row.quantity))?.[1];
    if (need === undefined || !['cycles', 'us'].includes(row.unit)) return undefined;
    const target = wafer(row);
    const { conditions } = row;
    const choices = chooseCollective(
      need,
      {
        ...pair(row, 'shape'),
        values: count(row, 'words'),
        type: elementType(row),
        ...(conditions['groupSize'] === undefined ? {} : { group: count(row, 'groupSize') }),
      },
      (phases) => priceSequence(phases, target),
    );
    const stated = conditions['algorithm'] === undefined ? undefined : text(row, 'algorithm').toLowerCase();
    const choice = stated === undefined ? choices[0] : choices.find((one) => one.collective.algorithm === stated);
    if (choice === undefined) return undefined;
    const { algorithm } = choice.collective;
    const presumes = [
      'operations posted before data arrives',
      ...(stated === undefined ? [`the cheapest algorithm, ${algorithm}`] : []),
      // Only these have groups.
      ...(conditions['groupSize'] === undefined && algorithm.startsWith('two-')
        ? [`the best group, ${choice.group} PEs`]
        : []),
    ].join('; ');
    return { value: row.unit === 'us' ? (choice.cost / clockOf(row, target)) * 1e6 : choice.cost, presumes };
  },
};
