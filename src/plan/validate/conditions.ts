// Reading the conditions of a published row. A condition of the wrong type is the row's mistake and is said so.

import { fail } from '../../core/index.ts';
import { graphOf } from '../../model/index.ts';
import type { Graph } from '../../model/index.ts';
import { findLlm, findWafer, resolveWafer } from '../../spec/index.ts';
import type { LlmShape, PublishedRow, Wafer } from '../../spec/index.ts';

function bad(row: PublishedRow, key: string, expected: string): never {
  fail({
    code: 'ROW_CONDITION_INVALID',
    message: `row ${row.id} cannot be predicted from its condition "${key}"`,
    where: `row ${row.id}, conditions.${key}`,
    expected,
    found: JSON.stringify(row.conditions[key]) ?? 'nothing',
  });
}

export function number(row: PublishedRow, key: string): number {
  const value = row.conditions[key];
  return typeof value === 'number' && value > 0 ? value : bad(row, key, 'a positive number');
}

export const numberOr = (row: PublishedRow, key: string, otherwise: number): number =>
  row.conditions[key] === undefined ? otherwise : number(row, key);

export function text(row: PublishedRow, key: string): string {
  const value = row.conditions[key];
  return typeof value === 'string' ? value : bad(row, key, 'a text');
}

/** A mesh or another pair of positive whole numbers. */
export function pair(row: PublishedRow, key: string): { width: number; height: number } {
  const value = row.conditions[key];
  if (!Array.isArray(value) || value.length !== 2) return bad(row, key, 'two positive whole numbers');
  const [width, height] = value as unknown[];
  const isSize = (n: unknown): n is number => typeof n === 'number' && Number.isInteger(n) && n > 0 && n <= 10_000;
  return isSize(width) && isSize(height) ? { width, height } : bad(row, key, 'two positive whole numbers up to 10,000');
}

export function elementType(row: PublishedRow): 'fp16' | 'fp32' {
  const value = row.conditions['dtype'] ?? 'fp16';
  return value === 'fp16' || value === 'fp32' ? value : bad(row, 'dtype', 'fp16 or fp32');
}

export const wafer = (row: PublishedRow): Wafer => resolveWafer(findWafer(text(row, 'machine')));

/** The row's clock, or the wafer's. */
export const clockOf = (row: PublishedRow, target: Wafer): number =>
  row.conditions['clockGHz'] === undefined ? target.clock : number(row, 'clockGHz') * 1e9;

/** Names of models as papers print them. */
const printedNames: Readonly<Record<string, string>> = {
  'llama3-8b': 'llama-3.1-8b',
  'llama2-13b': 'llama-2-13b',
  'codellama-34b': 'codellama-34b',
  'qwen2-72b': 'qwen2-72b',
};

export function shape(row: PublishedRow): LlmShape {
  const printed = text(row, 'model').toLowerCase();
  return findLlm(printedNames[printed] ?? printed).shape;
}

/** The benchmark's layer: dimensions padded to the mesh, one head as wide as the model, no grouped queries. */
export interface PaddedLayer {
  readonly hidden: number;
  readonly ffn: number;
  readonly context: number;
}

/**
 * Dimensions that the row states, else the model's, padded to multiples of the mesh as WaferLLM's launch
 * scripts pad them.
 */
export function paddedLayer(row: PublishedRow, side: number, tokens: number): PaddedLayer {
  const pad = (n: number): number => Math.ceil(n / side) * side;
  const model = shape(row);
  const ffn = model.mlp.kind === 'dense' ? model.mlp.ffn : model.mlp.expertFfn * model.mlp.activeExperts;
  return {
    hidden: numberOr(row, 'hidden', pad(model.hidden)),
    ffn: numberOr(row, 'ffn', pad(ffn)),
    context: numberOr(row, 'context', pad(tokens)),
  };
}

/** One decoder layer of that form as a graph. */
export function fullWidthGraph({ hidden, ffn, context }: PaddedLayer, layers = 1): Graph {
  return graphOf({
    arch: 'llama',
    hidden,
    layers,
    vocab: 32,
    maxContext: context,
    normEps: 1e-5,
    layerNorms: 2,
    rope: { theta: 10_000 },
    tiedEmbeddings: false,
    attention: { kind: 'gqa', heads: 1, kvHeads: 1, headDim: hidden, qkvBias: false, outBias: false, qkNorm: false },
    mlp: { kind: 'dense', ffn },
  });
}

/** PEs per group: the row states how many groups a line has. */
export const grouping = (row: PublishedRow, otherwise: (parts: number) => number): ((parts: number) => number) => {
  if (row.conditions['groups'] === undefined) return otherwise;
  const groups = number(row, 'groups');
  return (parts) => Math.max(1, Math.ceil(parts / groups));
};
