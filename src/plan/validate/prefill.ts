import { priceAll, total } from '../../sim/index.ts';
import type { PublishedRow, Wafer } from '../../spec/index.ts';
import { groupSize, shiftPrefillPhases } from '../../wafer/index.ts';
import {
  benchmarkContext,
  clockOf,
  count,
  countOr,
  grouping,
  is,
  layerConditions,
  paddedLayer,
  shape,
  side,
  wafer,
} from './conditions.ts';
import type { Predictor } from './predictor.ts';

/** Cycles of one prefill layer by cyclic-shift GEMMs. */
export function prefillLayerCycles(row: PublishedRow, parts: number, tokens: number, target: Wafer): number {
  const { hidden, ffn, context } = paddedLayer(row, parts, tokens);
  const phases = shiftPrefillPhases(
    { tokens: context, hidden, qkv: 3 * hidden, ffn },
    benchmarkContext(row, { width: parts, height: parts }, { tokens, group: grouping(row, groupSize) }),
  );
  return total(priceAll(phases, target));
}

/** Prompt tokens per second of prefill on a square mesh. */
export const prefill: Predictor = {
  group: 'prefill',
  reads: [...layerConditions, 'promptTokens'],
  answers: 'tokens/s of a prompt on a square mesh',
  predict(row) {
    const target = wafer(row);
    if (!row.unit.startsWith('tokens/s') || !is(row, 'attention', /full-width/)) return undefined;
    const tokens = count(row, 'promptTokens');
    const layers = countOr(row, 'layers', shape(row).layers);
    const cycles = prefillLayerCycles(row, side(row, 'mesh'), tokens, target) * layers;
    return {
      value: (tokens * clockOf(row, target)) / cycles,
      presumes: 'full-width attention, no masked half skipped',
    };
  },
};
