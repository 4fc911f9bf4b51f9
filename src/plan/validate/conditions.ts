// Reading the conditions of a published row. A condition of the wrong type is the row's mistake and is said so.

import { fail } from '../../core/index.ts';
import { graphOf, type Graph } from '../../model/index.ts';
import {
  findLlm,
  findWafer,
  groupedQueries,
  resolveWafer,
  type LlmShape,
  type PublishedRow,
  type Wafer,
} from '../../spec/index.ts';
import { groupSize, type KernelContext, type Numerics } from '../../wafer/index.ts';

function bad(row: PublishedRow, key: string, expected: string): never {
  fail({
    code: 'ROW_CONDITION_INVALID',
    message: `row ${row.id} cannot be predicted from its condition "${key}"`,
    where: `row ${row.id}, conditions.${key}`,
    expected,
    found: JSON.stringify(row.conditions[key]) ?? 'nothing',
  });
}

/** The row's clock, or the wafer's. */
export function clockOf(row: PublishedRow, target: Wafer): number {
  const value = row.conditions['clockGHz'];
  if (value === undefined) return target.clock;
  return typeof value === 'number' && value > 0 && value <= 100 ? value * 1e9 : bad(row, 'clockGHz', 'GHz up to 100');
}

/** Larger than any size on a wafer; keeps products of a few counts exact. */
const largestCount = 1_000_000;

/** A positive whole number, for sizes. */
export function count(row: PublishedRow, key: string): number {
  const value = row.conditions[key];
  const isCount = typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= largestCount;
  return isCount ? value : bad(row, key, `a whole number from 1 to ${largestCount}`);
}

export const countOr = (row: PublishedRow, key: string, otherwise: number): number =>
  row.conditions[key] === undefined ? otherwise : count(row, key);

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

/** The side of a square mesh that lies on the row's wafer. */
export function side(row: PublishedRow, key: string): number {
  const { width, height } = pair(row, key);
  const target = wafer(row);
  const most = Math.min(target.fabricWidth, target.fabricHeight);
  return width === height && width <= most ? width : bad(row, key, `a square mesh of at most ${most} x ${most} PEs`);
}

/** Texts that the kernels here stand for; a row about others is not answered. */
export function is(row: PublishedRow, key: string, expected: RegExp): boolean {
  const value = row.conditions[key];
  return value === undefined || (typeof value === 'string' && expected.test(value));
}

export function elementType(row: PublishedRow): 'fp16' | 'fp32' {
  const value = row.conditions['dtype'] ?? 'fp16';
  return value === 'fp16' || value === 'fp32' ? value : bad(row, 'dtype', 'fp16 or fp32');
}

/** Element types by what a row calls the precision of its weights. Where they take a byte or less, activations stay fp16. */
const precisions: Readonly<Record<string, Numerics>> = {
  fp16: { weights: 'f16', activations: 'fp16', kv: 'fp16' },
  bf16: { weights: 'bf16', activations: 'fp16', kv: 'fp16' },
  fp32: { weights: 'f32', activations: 'fp32', kv: 'fp32' },
  int8: { weights: 'int8', activations: 'fp16', kv: 'fp16' },
  fp8: { weights: 'fp8', activations: 'fp16', kv: 'fp16' },
  int4: { weights: 'int4-32', activations: 'fp16', kv: 'fp16' },
};

/** The precision that a row states; fp16 where it states none. */
export function numerics(row: PublishedRow): Numerics {
  const value = row.conditions['dtype'] ?? 'fp16';
  return typeof value === 'string' && Object.hasOwn(precisions, value)
    ? precisions[value]
    : bad(row, 'dtype', Object.keys(precisions).join(', '));
}

export const wafer = (row: PublishedRow): Wafer => resolveWafer(findWafer(text(row, 'machine')));

/** Names of models as papers print them. */
const printedNames: Readonly<Record<string, string>> = {
  'llama3-8b': 'llama-3.1-8b',
  'llama2-13b': 'llama-2-13b',
  'codellama-34b': 'codellama-34b',
  'qwen2-72b': 'qwen2-72b',
};

export function shape(row: PublishedRow): LlmShape {
  const printed = text(row, 'model').toLowerCase();
  return findLlm(Object.hasOwn(printedNames, printed) ? printedNames[printed] : printed).shape;
}

/** The benchmark's exponential is two squarings of 1 + x / 256: a scale, an add and two products. */
const standInExponential = 4;

/** In what the benchmark's kernels run. */
export const benchmarkContext = (
  row: PublishedRow,
  mesh: { readonly width: number; readonly height: number },
  step: Partial<Pick<KernelContext, 'tokens' | 'cached' | 'group'>> = {},
): KernelContext => ({
  ...mesh,
  tokens: 1,
  cached: 0,
  type: elementType(row),
  group: groupSize,
  expVectors: standInExponential,
  ...step,
});

/** Conditions of a layer that every row of one may state. */
export const layerConditions = [
  'machine',
  'mesh',
  'model',
  'layers',
  'dtype',
  'groups',
  'attention',
  'clockGHz',
  'hidden',
  'context',
  'ffn',
] as const;

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
export function paddedLayer(row: PublishedRow, parts: number, tokens: number): PaddedLayer {
  const pad = (n: number): number => Math.ceil(n / parts) * parts;
  const model = shape(row);
  if (model.mlp.kind !== 'dense') return bad(row, 'model', 'a model without experts');
  const { ffn } = model.mlp;
  return {
    hidden: countOr(row, 'hidden', pad(model.hidden)),
    ffn: countOr(row, 'ffn', pad(ffn)),
    context: countOr(row, 'context', pad(tokens)),
  };
}

/** One decoder layer of that form as a graph. */
export const fullWidthGraph = ({ hidden, ffn, context }: PaddedLayer): Graph =>
  graphOf({
    arch: 'llama',
    hidden,
    layers: 1,
    vocab: 32,
    maxContext: context,
    normEps: 1e-5,
    layerNorms: 2,
    rope: { theta: 10_000 },
    tiedEmbeddings: false,
    attention: groupedQueries(1, 1, hidden),
    mlp: { kind: 'dense', ffn },
  });

/** PEs per group: the row states how many groups a line has. */
export const grouping = (row: PublishedRow, otherwise: (parts: number) => number): ((parts: number) => number) => {
  if (row.conditions['groups'] === undefined) return otherwise;
  const groups = count(row, 'groups');
  return (parts) => Math.max(1, Math.ceil(parts / groups));
};
