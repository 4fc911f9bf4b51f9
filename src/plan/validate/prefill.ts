import { priceAll, total } from '../../sim/index.ts';
import type { PublishedRow, Wafer } from '../../spec/index.ts';
import { groupSize, shiftPrefillPhases } from '../../wafer/index.ts';
import { clockOf, elementType, grouping, number, paddedLayer, pair, shape, wafer } from './conditions.ts';
import type { Predictor } from './predictor.ts';

/** Cycles of one prefill layer by cyclic-shift GEMMs. */
export function prefillLayerCycles(row: PublishedRow, side: number, tokens: number, target: Wafer): number {
  const { hidden, ffn, context } = paddedLayer(row, side, tokens);
  const phases = shiftPrefillPhases(
    { tokens: context, hidden, qkv: 3 * hidden, ffn },
    {
      width: side,
      height: side,
      tokens,
      cached: 0,
      type: elementType(row),
      group: grouping(row, groupSize),
      expVectors: 4,
    },
  );
  return total(priceAll(phases, target));
}

/** Prompt tokens per second of prefill on a square mesh. */
export const prefill: Predictor = {
  group: 'prefill',
  predict(row) {
    const target = wafer(row);
    const tokens = number(row, 'promptTokens');
    const cycles = prefillLayerCycles(row, pair(row, 'mesh').width, tokens, target) * shape(row).layers;
    return {
      value: (tokens * clockOf(row, target)) / cycles,
      presumes: 'full-width attention, no masked half skipped',
    };
  },
};
