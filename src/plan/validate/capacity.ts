import { compile, mostLayers } from '../../compiler/index.ts';
import { fail, formatCount, IngotError } from '../../core/index.ts';
import { graphOf, kvWidth, parameterCount } from '../../model/index.ts';
import { createPlacementCost } from '../../sim/index.ts';
import { findWafer, llms, type LlmShape, type PublishedRow, type Wafer } from '../../spec/index.ts';
import { lowerLayer, wafersOf, type Program } from '../../wafer/index.ts';
import { dtypeBytes, sramOf } from '../../wafer/machine/index.ts';
import { countOr, fullWidthGraph, is, numerics, shape, side, text, wafer } from './conditions.ts';
import type { Answer, Predictor } from './predictor.ts';

/** Cached tokens of a service that is only said to hold a model: one user's conversation. */
export const oneUser = 2048;

/** Lines of PEs on which every role of a layer occurs: what a PE keeps depends on its role and tiles, not on the mesh. */
const SIDE = 9;
const GROUP = 3;

/**
 * Bytes of a PE that a decode layer takes besides weights and cache: code and vectors of Ingot's own PE program, with the
 * tiles that the layer has on the mesh, and what the system keeps.
 */
function besidesTensors(model: LlmShape, ffn: number, side: number, target: Wafer): number {
  const onSmall = (size: number): number => Math.ceil(size / side) * SIDE;
  const hidden = 2 * Math.ceil(onSmall(model.hidden) / 2);
  const [ops] = fullWidthGraph({ hidden, ffn: onSmall(ffn), context: 2 * SIDE }).layers;
  const spec = { ops, width: SIDE, height: SIDE, type: 'fp16', context: 2 * SIDE, append: false } as const;
  const { program } = lowerLayer({ ...spec, group: () => GROUP }, target);
  const taken = Object.values(program.roles).map((role) => {
    const tensors = role.memory.filter(({ name }) => /^(weights of |keys$|values$)/.test(name));
    const { objects, code } = sramOf(role, target.id);
    return code + objects - tensors.reduce((sum, { length, dtype }) => sum + length * dtypeBytes(dtype), 0);
  });
  return target.systemSram + Math.max(...taken);
}

/**
 * Longest context that a PE has room for when the whole model is on one wafer: all weights spread over the PEs that are
 * advertised, as many regions of the mesh as these make, and the cache of a region's layers on its rows; over all rows
 * (shift), or filling the last one (concat).
 */
function decodeLength(row: PublishedRow, target: Wafer): Answer | undefined {
  const width = side(row, 'mesh');
  const model = shape(row);
  if (model.mlp.kind !== 'dense') return undefined;
  const pes = findWafer(target.id).advertisedPes.value;
  const valueBytes = 2;
  const layers = (model.layers * width * width) / pes;
  const perToken = ((kvWidth(model) * valueBytes) / width) * layers;
  const taken = besidesTensors(model, model.mlp.ffn, width, target);
  const weights = (parameterCount(model) * valueBytes) / pes;
  const perRow = Math.floor((target.sramPerPe - taken - weights) / perToken);
  const isShift = row.quantity.includes('shift') || row.conditions['kv'] === 'shift';
  if (perRow < 1)
    fail({
      code: 'MODEL_DOES_NOT_FIT',
      message: `the weights take ${formatCount(Math.ceil(weights))} B of each of ${formatCount(pes)} PEs, and the code and vectors of a layer ${formatCount(taken)} B more`,
      expected: `less than ${formatCount(target.sramPerPe)} B together`,
    });
  return {
    value: isShift ? perRow * width : perRow,
    presumes:
      `the whole model on ${formatCount(pes)} PEs, ${layers.toFixed(1)} layers on each region, ` +
      `${formatCount(taken)} B per PE for the code and vectors of Ingot's own layer`,
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
  answers: 'tokens of cache, wafers that hold a model, or parameters of the largest dense model on so many wafers',
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
