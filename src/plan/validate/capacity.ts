import { compile, createMemoryModel, mostLayers, sectionsOf } from '../../compiler/index.ts';
import { IngotError } from '../../core/index.ts';
import { graphOf, parameterCount } from '../../model/index.ts';
import { createPlacementCost } from '../../sim/index.ts';
import { llms } from '../../spec/index.ts';
import type { LlmShape, PublishedRow, Wafer } from '../../spec/index.ts';
import { wafersOf } from '../../wafer/index.ts';
import type { Program } from '../../wafer/index.ts';
import { countOr, fullWidthGraph, is, numerics, paddedLayer, shape, side, text, wafer } from './conditions.ts';
import type { Answer, Predictor } from './predictor.ts';

/** Cached tokens of a service that is only said to hold a model: one user's conversation. */
export const oneUser = 2048;

/**
 * Longest context of one layer on a mesh, KV spread over all rows (shift) or filling the last row (concat). What those
 * kernels keep for code is a condition of that software: it is what was found in theirs, not what Ingot's take.
 */
function decodeLength(row: PublishedRow, target: Wafer): Answer | undefined {
  const width = side(row, 'mesh');
  const mesh = { width, height: width };
  const sections = sectionsOf(fullWidthGraph(paddedLayer(row, mesh.width, 4096)));
  const content = { layersOfKind: [1], embedding: false, head: false };
  const reserve = { system: 0, code: target.reservedSram };
  const memory = createMemoryModel(sections, mesh, target, numerics(row)).stage(content, 1, false, reserve);
  const perRow = Math.floor(memory.kv / memory.kvPerToken);
  const isShift = row.quantity.includes('shift') || row.conditions['kv'] === 'shift';
  if (perRow < 1) return undefined;
  return {
    value: isShift ? perRow * mesh.height : perRow,
    presumes: `one layer resident, ${memory.code} B per PE reserved, as their kernels are`,
  };
}

/** A model on as few wafers as hold it, or on at most so many; undefined where it does not fit. */
export function place(
  row: PublishedRow,
  model: LlmShape,
  target: Wafer,
  kvTokens: number,
  more: { readonly maxWafers?: number; readonly objective?: 'throughput' } = {},
): Program | undefined {
  const graph = graphOf(model);
  const cost = createPlacementCost(graph, numerics(row), target);
  try {
    return compile({ model: row.id, graph, wafer: target, numerics: numerics(row), kvTokens, cost, ...more });
  } catch (error) {
    if (error instanceof IngotError && error.code === 'PROGRAM_DOES_NOT_FIT') return undefined;
    throw error;
  }
}

/** The largest dense model that so many wafers hold: layers of a known shape, as many as fit, the best shape of all. */
function largestModel(row: PublishedRow, target: Wafer, kvTokens: number): Answer | undefined {
  const maxWafers = countOr(row, 'wafers', 1);
  let largest = { parameters: 0, layers: 0, of: '' };
  for (const { id, shape: known } of Object.values(llms)) {
    if (known.mlp.kind !== 'dense') continue;
    const graph = graphOf({ ...known, layers: 1 });
    const cost = createPlacementCost(graph, numerics(row), target);
    const options = { model: id, graph, wafer: target, numerics: numerics(row), kvTokens, cost, maxWafers };
    const layers = mostLayers(options);
    const parameters = layers === 0 ? 0 : parameterCount({ ...known, layers });
    if (parameters > largest.parameters) largest = { parameters, layers, of: id };
  }
  if (largest.layers === 0) return undefined;
  const cached = kvTokens.toLocaleString('en-US');
  return {
    value: largest.parameters,
    presumes: `${largest.layers} layers like those of ${largest.of}, ${cached} cached tokens`,
  };
}

/** What fits: context length, wafers for a model, model for a wafer. */
export const capacity: Predictor = {
  group: 'capacity',
  reads: ['machine', 'model', 'mesh', 'dtype', 'hidden', 'ffn', 'context', 'kv', 'wafers'],
  predict(row) {
    const target = wafer(row);
    if (row.unit === 'tokens') return is(row, 'dtype', /^fp16$/) ? decodeLength(row, target) : undefined;
    const kvTokens = countOr(row, 'context', oneUser);
    const presumes = `${kvTokens.toLocaleString('en-US')} cached tokens, code as Ingot's kernels take`;
    if (row.unit === 'wafers') {
      text(row, 'model');
      const program = place(row, shape(row), target, kvTokens);
      return program === undefined ? undefined : { value: wafersOf(program), presumes };
    }
    return row.unit === 'parameters' ? largestModel(row, target, kvTokens) : undefined;
  },
};
