import { compile, createMemoryModel } from '../../compiler/index.ts';
import { graphOf } from '../../model/index.ts';
import type { PublishedRow, Wafer } from '../../spec/index.ts';
import type { Numerics } from '../../wafer/index.ts';
import { fullWidthGraph, is, paddedLayer, shape, side, text, wafer } from './conditions.ts';
import type { Answer, Predictor } from './predictor.ts';

const fp16: Numerics = { weights: 'f16', activations: 'fp16', kv: 'fp16' };

/** Longest context of one layer on a mesh, KV spread over all rows (shift) or filling the last row (concat). */
function decodeLength(row: PublishedRow, target: Wafer): Answer | undefined {
  const width = side(row, 'mesh');
  const mesh = { width, height: width };
  const graph = fullWidthGraph(paddedLayer(row, mesh.width, 4096));
  const content = { from: 0, to: 1, embedding: false, head: false };
  const memory = createMemoryModel(graph, mesh, target, fp16).stage(content, 1);
  const perRow = Math.floor(memory.kv / memory.kvPerToken);
  const isShift = row.quantity.includes('shift') || row.conditions['kv'] === 'shift';
  if (perRow < 1) return undefined;
  return {
    value: isShift ? perRow * mesh.height : perRow,
    presumes: `one layer resident, ${memory.code} B per PE reserved`,
  };
}

/** What fits: context length, wafers for a model, model for a wafer. */
export const capacity: Predictor = {
  group: 'capacity',
  reads: ['machine', 'model', 'mesh', 'dtype', 'hidden', 'ffn', 'context', 'kv'],
  predict(row) {
    const target = wafer(row);
    if (!is(row, 'dtype', /^fp16$/)) return undefined;
    if (row.unit === 'tokens') return decodeLength(row, target);
    if (row.unit === 'wafers') {
      const graph = graphOf(shape(row));
      const program = compile({
        model: text(row, 'model'),
        graph,
        wafer: target,
        numerics: fp16,
        kvTokens: 8192,
        cost: () => 0,
      });
      return {
        value: program.stages.length,
        presumes: `8,192 cached tokens, ${target.reservedSram} B per PE reserved`,
      };
    }
    if (row.unit !== 'parameters') return undefined;
    const bytes = target.programWidth * target.programHeight * (target.sramPerPe - target.reservedSram);
    return { value: bytes / 2, presumes: `${target.reservedSram} B per PE reserved, no KV` };
  },
};
