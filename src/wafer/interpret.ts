// The executable definition of a program's arithmetic: slow and obvious. Executors must give the same bits.
//
// - Activations are fp32, every operation is rounded once, nothing is fused.
// - A linear op cuts its input into the tiles of the order of that width. Each PE forms the partial dot product
//   of its tile for each output row, from 0, in order of k; partials are added in the order of the tree; then
//   the bias. int8: inputs are quantized per token, products are added exactly, the sum is rounded to fp32 and
//   multiplied by (token scale · row scale). Weights of every other format are widened first (`heldRow`).
// - Keys and values are rounded to the type of the cache as they enter it (`heldInCache`).
// - A matrix for each head adds at the tiles where the head's input lies: a cut of all heads' inputs together, or of
//   each head's (`isSpread`).
// - A norm adds squares per tile, then over the tree. A part of a row (norms per head) sums its own elements at
//   the tiles where they lie.
// - Attention at a position sees `length` positions, cut into equal runs of ceil(length / parts). A score is the dot
//   product of the head's elements, added at the tiles where the head's keys lie, then over the tree, times the
//   scale; exp(score - largest) and the values weighted by it are added per tile, then over the tree; last comes
//   the division by the sum. A sink is one more score, without a value: the largest may be it, and its exponential is
//   added to the sum after the tree.
// - A mixture's router is a linear op in fp32. Scores are added and chosen in order of the experts, weights and outputs
//   in order of the choice. Each chosen expert is three linear ops and a gated unit; its outputs are multiplied by its
//   weight and added, from 0.
// - Prompts stream through the placement of decode, so a token's logits depend on the tokens before it only.

import { assert, fail } from '../core/index.ts';
import {
  chooseExperts,
  definitionOf,
  expertOps,
  headElement,
  headOf,
  ropeInverseFrequencies,
  ropeMagnitude,
  ropePart,
  routerOp,
  valueHeadDim,
  type AttentionOp,
  type EmbeddingOp,
  type GluOp,
  type HeadLinearOp,
  type LinearOp,
  type MoeOp,
  type Op,
  type RmsNormOp,
  type RopeOp,
  type WeightSource,
} from '../model/index.ts';
import { clampedSilu32, exp32, f32, geluTanh32, quantizeRow, silu32, softcap32 } from './arithmetic.ts';
import type { QuantizedRow } from './arithmetic.ts';
import {
  heldEmbedding,
  heldMatrix,
  heldTable,
  requireExecutableProgram,
  requireWeight,
  weightsOfProgram,
} from './held-weights.ts';
import { ordersOf, type ProgramOrders } from './orders.ts';
import type { Program } from './program.ts';
import { reduceInOrder, type ReductionPlan } from './reduction.ts';
import { heldInCache, heldRow, type KvType, type WeightFormat } from './weight-formats.ts';

export interface InterpretedSession {
  /** Tokens in the KV cache. */
  readonly length: number;
  /** Append tokens; logits [vocab] of the last one. */
  forward(tokens: readonly number[]): Float32Array;
  /** Append tokens; of each the hidden state [hidden] after the last norm, which the head reads. */
  hidden(tokens: readonly number[]): Float32Array[];
}

export interface Interpretation {
  /** A new, empty sequence. */
  start(): InterpretedSession;
}

/** Keys and values of one layer, one row [kvHeads · headDim] per position. */
interface LayerCache {
  readonly keys: Float32Array[];
  readonly values: Float32Array[];
}

/** What an op sees of one token's step. */
interface TokenStep {
  readonly token: number;
  readonly position: number;
  readonly cache: LayerCache;
  value(name: string): Float32Array;
}

/**
 * Run a program one token at a time, in float64 rounded to fp32 after each operation.
 * @throws IngotError ARCH_UNSUPPORTED, PROGRAM_STAGES_INVALID, PROGRAM_NUMERICS_UNSUPPORTED; WEIGHT_MISSING and
 * WEIGHT_SHAPE when a weight is first used
 */
export function interpret(program: Program, weights: WeightSource): Interpretation {
  requireExecutableProgram(program);
  const { graph } = program;
  const held = createHeldWeights(program, weightsOfProgram(program, weights));
  const orders = ordersOf(program);

  const evaluate = (op: Op, step: TokenStep): Float32Array => {
    switch (op.kind) {
      case 'embedding': {
        const table = held.embedding(op);
        const row = table.slice(step.token * op.width, (step.token + 1) * op.width);
        const { scale } = op;
        return scale === undefined ? row : row.map((x) => f32(x * f32(scale)));
      }
      case 'rmsnorm':
        return norm(op, step.value(op.input), held.vector(op.weight, op.width / op.groups), orders.of(op));
      case 'linear':
        return linear(op, step.value(op.input), held, orders.of(op));
      case 'head-linear':
        return headLinear(op, step.value(op.input), held.heads(op), orders.of(op));
      case 'rope':
        return rotate(op, step.value(op.input), step.position);
      case 'attention':
        return attend(op, step, held, orders, program.numerics.kv);
      case 'glu':
        return gate(op.activation, step.value(op.gate), step.value(op.up));
      case 'softcap':
        return step.value(op.input).map((x) => softcap32(x, op.cap));
      case 'add': {
        const b = step.value(op.b);
        return step.value(op.a).map((a, i) => f32(a + b[i]));
      }
      case 'moe':
        return mixture(op, step.value(op.input), held, orders);
    }
  };

  const start = (): InterpretedSession => {
    const caches: LayerCache[] = graph.layers.map(() => ({ keys: [], values: [] }));
    let length = 0;
    const run = (ops: readonly Op[], cache: LayerCache, token: number, x?: Float32Array): Map<string, Float32Array> => {
      const values = new Map<string, Float32Array>(x === undefined ? [] : [['x', x]]);
      const value = (name: string): Float32Array => {
        const found = values.get(name);
        assert(found !== undefined, `value ${name} is read before it is written`);
        return found;
      };
      for (const op of ops) values.set(op.out, evaluate(op, { token, position: length, cache, value }));
      return values;
    };
    const none: LayerCache = { keys: [], values: [] };
    /** The values of the epilogue, where they are wanted. */
    const step = (token: number, wanted: boolean): ReadonlyMap<string, Float32Array> => {
      if (!Number.isInteger(token) || token < 0 || token >= graph.shape.vocab) {
        fail({
          code: 'TOKEN_OUT_OF_RANGE',
          message: 'a token id is outside the vocabulary',
          expected: `0 to ${graph.shape.vocab - 1}`,
          found: String(token),
        });
      }
      let x = run(graph.prologue, none, token).get('x');
      for (const [layer, ops] of graph.layers.entries()) x = run(ops, caches[layer], token, x).get('x');
      length++;
      return wanted ? run(graph.epilogue, none, token, x) : new Map();
    };
    const valueOf = (values: ReadonlyMap<string, Float32Array>, name: string): Float32Array => {
      const value = values.get(name);
      assert(value !== undefined, `the epilogue writes ${name}`);
      return value;
    };
    return {
      get length() {
        return length;
      },
      forward(tokens) {
        if (tokens.length === 0) throw new RangeError('forward needs at least one token');
        for (const token of tokens.slice(0, -1)) step(token, false);
        return valueOf(step(tokens[tokens.length - 1], true), 'logits');
      },
      hidden: (tokens) => tokens.map((token) => valueOf(step(token, true), headOf(graph).input)),
    };
  };
  return { start };
}

interface HeldWeights {
  vector(name: string, length: number): Float32Array;
  table(name: string, shape: readonly number[]): Float32Array;
  embedding(op: EmbeddingOp): Float32Array;
  matrix(op: LinearOp): Float32Array;
  /** The whole weight of a matrix for each head. */
  heads(op: HeadLinearOp): Float32Array;
  /** The rows of an int8 matrix; undefined for other formats. */
  quantized(op: LinearOp): readonly QuantizedRow[] | undefined;
}

/** Weights as the program holds them, widened to fp32 again. */
function createHeldWeights({ numerics }: Program, weights: WeightSource): HeldWeights {
  const floats = new Map<string, Float32Array>();
  const rows = new Map<string, readonly QuantizedRow[]>();
  const read = (name: string, shape: readonly number[], as: WeightFormat): Float32Array => {
    const key = `${as} ${name}`;
    const known = floats.get(key);
    if (known !== undefined) return known;
    requireWeight(weights, name, shape);
    const stored = weights.read(name);
    const values = new Float32Array(stored.length);
    const width = shape[shape.length - 1];
    for (let at = 0; at < values.length; at += width) values.set(heldRow(as, stored.subarray(at, at + width)), at);
    floats.set(key, values);
    return values;
  };
  const rowsOf = (op: LinearOp, as: WeightFormat): Float32Array => {
    const { from, of } = op.rows ?? { from: 0, of: op.n };
    return read(op.weight, [of, op.k], as).subarray(from * op.k, (from + op.n) * op.k);
  };
  return {
    vector: (name, length) => read(name, [length], 'f32'),
    table: (name, shape) => {
      requireWeight(weights, name, shape);
      return read(name, shape, heldTable(numerics, weights.dtype(name)));
    },
    embedding({ weight, vocab, width }) {
      requireWeight(weights, weight, [vocab, width]);
      return read(weight, [vocab, width], heldEmbedding(numerics, weights.dtype(weight)));
    },
    heads(op) {
      const [{ shape }] = definitionOf(op).weights(op);
      requireWeight(weights, op.weight, shape);
      return read(op.weight, shape, heldTable(numerics, weights.dtype(op.weight)));
    },
    matrix: (op) => rowsOf(op, heldMatrix(numerics, op.role)),
    quantized(op) {
      if (heldMatrix(numerics, op.role) !== 'int8') return undefined;
      const key = `${op.weight} ${op.rows?.from ?? 0}`;
      const known = rows.get(key);
      if (known !== undefined) return known;
      const all = rowsOf(op, 'f32');
      const made = Array.from({ length: op.n }, (_, row) => quantizeRow(all.subarray(row * op.k, (row + 1) * op.k)));
      rows.set(key, made);
      return made;
    },
  };
}

/** Sum of term(i) for from <= i < to: per tile in order of i, then over the tree. */
function sumOverTiles(plan: ReductionPlan, from: number, to: number, term: (i: number) => number): number {
  const partial = (part: number): number => {
    let sum = 0;
    const end = Math.min((part + 1) * plan.tile, to);
    for (let i = Math.max(part * plan.tile, from); i < end; i++) sum = f32(sum + term(i));
    return sum;
  };
  return reduceInOrder(plan, partial, f32);
}

function linear(op: LinearOp, x: Float32Array, held: HeldWeights, plan: ReductionPlan): Float32Array {
  const bias = op.bias === undefined ? undefined : held.vector(op.bias, op.n);
  const rows = held.quantized(op);
  const dot = rows === undefined ? inFp32(held.matrix(op), x, op.k, plan) : inInt8(rows, x);
  return Float32Array.from({ length: op.n }, (_, row) => (bias === undefined ? dot(row) : f32(dot(row) + bias[row])));
}

const inFp32 =
  (matrix: Float32Array, x: Float32Array, k: number, plan: ReductionPlan) =>
  (row: number): number =>
    sumOverTiles(plan, 0, k, (i) => f32(matrix[row * k + i] * x[i]));

function inInt8(rows: readonly QuantizedRow[], x: Float32Array): (row: number) => number {
  const token = quantizeRow(x);
  return (row) => {
    let sum = 0;
    for (let i = 0; i < x.length; i++) sum += rows[row].q[i] * token.q[i];
    return f32(f32(sum) * f32(token.scale * rows[row].scale));
  };
}

function headLinear(op: HeadLinearOp, x: Float32Array, weight: Float32Array, plan: ReductionPlan): Float32Array {
  const [inWidth, outWidth] = [op.k + op.passed, op.n + op.passed];
  const out = new Float32Array(op.heads * outWidth);
  for (let head = 0; head < op.heads; head++) {
    const input = head * inWidth;
    // Where the head's elements lie among the tiles.
    const from = op.isSpread ? 0 : input;
    for (let o = 0; o < op.n; o++) {
      const term = (i: number): number => f32(weight[headElement(op, head, i - from, o)] * x[input + i - from]);
      out[head * outWidth + o] = sumOverTiles(plan, from, from + op.k, term);
    }
    out.set(x.subarray(input + op.k, input + inWidth), head * outWidth + op.n);
  }
  return out;
}

function norm(op: RmsNormOp, x: Float32Array, weight: Float32Array, plan: ReductionPlan): Float32Array {
  const part = op.width / op.groups;
  const { offset = 0 } = op;
  const out = x.slice();
  for (let from = 0; from < op.width; from += part) {
    const mean = f32(sumOverTiles(plan, from, from + part, (i) => f32(x[i] * x[i])) / part);
    const inverse = f32(1 / f32(Math.sqrt(f32(mean + f32(op.eps)))));
    for (let i = 0; i < part; i++) out[from + i] = f32(f32(x[from + i] * inverse) * f32(weight[i] + offset));
  }
  return out;
}

/** What a rotation at a position needs: one value a pair, computed in float64 and rounded once to fp32. */
export interface RopeAngles {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/** cos and sin of position · frequency, times the magnitude, for each pair of a head, by position. */
export function ropeAngles(op: RopeOp): (position: number) => RopeAngles {
  const frequencies = ropeInverseFrequencies(op.rope, ropePart(op).width);
  const magnitude = ropeMagnitude(op.rope);
  return (position) => ({
    cos: Float32Array.from(frequencies, (frequency) => magnitude * Math.cos(position * frequency)),
    sin: Float32Array.from(frequencies, (frequency) => magnitude * Math.sin(position * frequency)),
  });
}

function rotate(op: RopeOp, x: Float32Array, position: number): Float32Array {
  const { cos, sin } = ropeAngles(op)(position);
  const part = ropePart(op);
  const out = x.slice();
  for (let from = part.from; from < x.length; from += op.headDim) {
    for (let i = 0; i < cos.length; i++) {
      const [first, second] = part.pair(i);
      const a = x[from + first];
      const b = x[from + second];
      out[from + first] = f32(f32(a * cos[i]) - f32(b * sin[i]));
      out[from + second] = f32(f32(b * cos[i]) + f32(a * sin[i]));
    }
  }
  return out;
}

/** A row of keys or values as the cache keeps it, each head by itself. */
function cachedRow(row: Float32Array, headDim: number, kv: KvType): Float32Array {
  const kept = row.slice();
  for (let at = 0; at < row.length; at += headDim) kept.set(heldInCache(kv, row.subarray(at, at + headDim)), at);
  return kept;
}

function attend(op: AttentionOp, step: TokenStep, held: HeldWeights, orders: ProgramOrders, kv: KvType): Float32Array {
  const { keys, values } = step.cache;
  keys.push(cachedRow(step.value(op.k), op.headDim, kv));
  values.push(cachedRow(step.value(op.latent === undefined ? op.v : op.k), op.headDim, kv));
  assert(keys.length === step.position + 1, 'the cache holds one row per position');
  const { headDim } = op;
  const first = op.slidingWindow === undefined ? 0 : Math.max(0, step.position - op.slidingWindow + 1);
  const length = step.position - first + 1;
  const plan = orders.overPositions(op, length);
  const channels = orders.overChannels(op);
  const q = step.value(op.q);
  const sinks = op.sinks === undefined ? undefined : held.vector(op.sinks, op.heads);
  const valueDim = valueHeadDim(op);
  const out = new Float32Array(op.heads * valueDim);
  for (let head = 0; head < op.heads; head++) {
    const from = head * headDim;
    const kvFrom = Math.floor((head * op.kvHeads) / op.heads) * headDim;
    const scores = Float32Array.from({ length }, (_, j) => {
      const key = keys[first + j];
      const term = (i: number): number => f32(q[from - kvFrom + i] * key[i]);
      const score = f32(sumOverTiles(channels, kvFrom, kvFrom + headDim, term) * f32(op.scale));
      return op.softcap === undefined ? score : softcap32(score, op.softcap);
    });
    // Without a sink, a score whose exponential is 0.
    const sink = sinks?.[head] ?? -Infinity;
    const most = scores.reduce((a, b) => Math.max(a, b), sink);
    const terms = scores.map((score) => exp32(f32(score - most)));
    const sum = f32(sumOverTiles(plan, 0, length, (j) => terms[j]) + exp32(f32(sink - most)));
    for (let i = 0; i < valueDim; i++) {
      const weighted = sumOverTiles(plan, 0, length, (j) => f32(terms[j] * values[first + j][kvFrom + i]));
      out[head * valueDim + i] = f32(weighted / sum);
    }
  }
  return out;
}

function gate(activation: GluOp['activation'], gates: Float32Array, up: Float32Array): Float32Array {
  if (activation === 'clamped-silu') return gates.map((x, i) => clampedSilu32(x, up[i]));
  const apply = activation === 'silu' ? silu32 : geluTanh32;
  return gates.map((x, i) => f32(apply(x) * up[i]));
}

function mixture(op: MoeOp, x: Float32Array, held: HeldWeights, orders: ProgramOrders): Float32Array {
  const { input, inner } = orders.ofExperts(op);
  const out = new Float32Array(op.width);
  for (const { expert, weight } of route(op, x, held, input)) {
    const { gate: gateOp, up, down } = expertOps(op, expert);
    const gated = gate(op.activation, linear(gateOp, x, held, input), linear(up, x, held, input));
    const y = linear(down, gated, held, inner);
    for (let i = 0; i < op.width; i++) out[i] = f32(out[i] + f32(weight * y[i]));
  }
  return out;
}

/** A token's experts, best first, and their weights. */
function route(
  op: MoeOp,
  x: Float32Array,
  held: HeldWeights,
  plan: ReductionPlan,
): { readonly expert: number; readonly weight: number }[] {
  const { score, normalize, scale, bias } = op.routing;
  const router = routerOp(op);
  const dot = inFp32(held.table(op.router, [op.experts, op.width]), x, op.width, plan);
  const added = op.routerBias === undefined ? undefined : held.vector(op.routerBias, op.experts);
  const logits = Float32Array.from({ length: op.experts }, (_, expert) =>
    router.bias === undefined || added === undefined ? dot(expert) : f32(dot(expert) + added[expert]),
  );
  const sumOf = (terms: Iterable<number>): number => {
    let sum = 0;
    for (const term of terms) sum = f32(sum + term);
    return sum;
  };
  const isSoftmax = score === 'softmax';
  const most = logits.reduce((a, b) => Math.max(a, b));
  const terms = logits.map((logit) => (isSoftmax ? exp32(f32(logit - most)) : f32(1 / f32(1 + exp32(-logit)))));
  const total = isSoftmax ? sumOf(terms) : 1;
  // A softmax is chosen by its logits where nothing is added to it: in them nothing is rounded away.
  const byLogits = isSoftmax && bias !== 'choice' && op.routing.groups === undefined;
  const scores = byLogits ? logits : terms.map((term) => f32(term / total));
  const chosen = chooseExperts(
    op,
    bias === 'choice' && added !== undefined ? scores.map((term, expert) => f32(term + added[expert])) : scores,
    f32,
  );
  const divisor = normalize ? sumOf(chosen.map((expert) => terms[expert])) : total;
  return chosen.map((expert) => ({ expert, weight: f32(f32(scale) * f32(terms[expert] / divisor)) }));
}
