// Bytes on the fullest PE. Every tensor of a stage is tiled over the stage's whole region, so all PEs hold
// nearly the same; the count takes full tiles, so it is an upper bound for each PE.

import { definitionOf } from '../model/index.ts';
import type { Graph, Op } from '../model/index.ts';
import type { Wafer } from '../spec/index.ts';
import { inputAxes, outputAxisOf } from '../wafer/index.ts';
import type { Axis, MemoryPlan, Numerics, VectorType } from '../wafer/index.ts';

export interface Mesh {
  readonly width: number;
  readonly height: number;
}

const bytesOf = (type: VectorType): number => (type === 'fp16' ? 2 : 4);
const weightBytes = (numerics: Numerics): number => ({ f32: 4, f16: 2, bf16: 2, int8: 1 })[numerics.weights];

const span = (axis: Axis, mesh: Mesh): number => (axis === 'x' ? mesh.width : mesh.height);
const other = (axis: Axis): Axis => (axis === 'x' ? 'y' : 'x');
const tile = (rows: number, cols: number, rowAxis: Axis, mesh: Mesh): number =>
  Math.ceil(rows / span(rowAxis, mesh)) * Math.ceil(cols / span(other(rowAxis), mesh));

/** Weight bytes of an op on one PE. Norms and biases are held as activations are; an int8 model's table keeps 16 bits. */
function weightsOnPe(op: Op, axis: Axis, mesh: Mesh, numerics: Numerics): number {
  const matrix = weightBytes(numerics);
  const vector = bytesOf(numerics.activations);
  switch (op.kind) {
    case 'embedding':
      return tile(op.vocab, op.width, other(axis), mesh) * Math.max(2, matrix);
    case 'linear': {
      const outputs = Math.ceil(op.n / span(other(axis), mesh));
      const scales = numerics.weights === 'int8' ? outputs * 4 : 0;
      const bias = op.bias === undefined ? 0 : outputs * vector;
      return tile(op.k, op.n, axis, mesh) * matrix + scales + bias;
    }
    case 'head-linear': {
      // Kept as a table is: in 16 bits where the model has int8.
      const inputs = op.isSpread ? op.k * op.heads : op.heads * (op.k + op.passed);
      return tile(inputs, op.n, axis, mesh) * Math.max(2, matrix);
    }
    case 'moe': {
      const expert = 2 * tile(op.width, op.expertFfn, axis, mesh) + tile(op.expertFfn, op.width, other(axis), mesh);
      const inner = Math.ceil(op.expertFfn / span(other(axis), mesh));
      const outer = Math.ceil(op.width / span(axis, mesh));
      const scales = numerics.weights === 'int8' ? (2 * inner + outer) * 4 : 0;
      const bias = op.expertBias ? (2 * inner + outer) * vector : 0;
      // The router is held as a table is, its bias on every PE, for each chooses by itself.
      const router = tile(op.width, op.experts, axis, mesh) * Math.max(2, matrix);
      const routerBias = op.routerBias === undefined ? 0 : op.experts * vector;
      return op.experts * (expert * matrix + scales + bias) + router + routerBias;
    }
    case 'rmsnorm':
      return Math.ceil(definitionOf(op).weightElements(op) / span(axis, mesh)) * vector;
    default:
      return 0;
  }
}

export function sectionWeights(ops: readonly Op[], mesh: Mesh, numerics: Numerics): number {
  const axes = inputAxes(ops, 'y');
  return ops.reduce((sum, op) => sum + weightsOnPe(op, axes.get(op) ?? 'y', mesh, numerics), 0);
}

/**
 * Bytes of the values of a layer that are alive at once, where most are, and of one more of the largest to
 * receive into. A value lives from its op to its last reader; `x` enters the section alive.
 */
function activationsPerToken(ops: readonly Op[], mesh: Mesh, numerics: Numerics): number {
  const axes = inputAxes(ops, 'y');
  const lastRead = new Map<string, number>();
  ops.forEach((op, i) => {
    for (const { name } of definitionOf(op).inputs(op)) lastRead.set(name, i);
  });
  const alive = new Map<string, number>();
  let peak = 0;
  let largest = 0;
  ops.forEach((op, i) => {
    const axis = axes.get(op) ?? 'y';
    if (i === 0)
      for (const { name, width } of definitionOf(op).inputs(op)) alive.set(name, Math.ceil(width / span(axis, mesh)));
    const values = Math.ceil(definitionOf(op).width(op) / span(outputAxisOf(op, axis), mesh));
    largest = Math.max(largest, values);
    // The residual is read again later under the name that the last op writes: both live at the end.
    alive.set(i === ops.length - 1 ? `${op.out} out` : op.out, values);
    peak = Math.max(
      peak,
      [...alive.values()].reduce((sum, n) => sum + n, 0),
    );
    for (const name of alive.keys()) if ((lastRead.get(name) ?? ops.length) <= i) alive.delete(name);
  });
  return (peak + largest) * bytesOf(numerics.activations);
}

/** KV bytes of one cached token of one layer on each PE of its row, and the score it needs while attended to. */
function kvOnPe(ops: readonly Op[], mesh: Mesh, numerics: Numerics): { cache: number; score: number } {
  const axes = inputAxes(ops, 'y');
  let cache = 0;
  let score = 0;
  for (const op of ops) {
    if (op.kind !== 'attention') continue;
    const channels = span(axes.get(op) ?? 'y', mesh);
    const values =
      op.latent === undefined
        ? 2 * Math.ceil((op.kvHeads * op.headDim) / channels)
        : Math.ceil((op.kvHeads * op.headDim) / channels);
    cache += values * bytesOf(numerics.kv);
    const queriesPerKv = Math.ceil(op.heads / op.kvHeads);
    score = Math.max(score, 2 * queriesPerKv * bytesOf(numerics.activations));
  }
  return { cache, score };
}

/** Rows over which cached positions are spread: the axis across the attention's channels. */
function rowsOfKv(graph: Graph, mesh: Mesh): number {
  const layer = graph.layers[0] ?? [];
  const attention = layer.find((op) => op.kind === 'attention');
  const axis = attention === undefined ? 'y' : (inputAxes(layer, 'y').get(attention) ?? 'y');
  return span(other(axis), mesh);
}

/** What a stage holds: layers [from, to), and whether the embedding and the head besides. */
export interface StageContent {
  readonly from: number;
  readonly to: number;
  readonly embedding: boolean;
  readonly head: boolean;
}

/** Bytes of one layer on one PE. */
interface LayerBytes {
  readonly weights: number;
  /** KV of one cached token, and the score it needs while attended to. */
  readonly cache: number;
  readonly score: number;
  /** Values of one token. */
  readonly activations: number;
}

/** Answers how a mesh would be filled; layers that are alike are sized once. */
export interface MemoryModel {
  readonly mesh: Mesh;
  /** Rows of PEs that share the cached tokens evenly. */
  readonly kvRows: number;
  /**
   * The memory of a stage. `kv` is negative when weights and activations alone do not fit.
   * @param chunk tokens that prefill processes together
   */
  stage(content: StageContent, chunk: number): MemoryPlan;
}

export function createMemoryModel(graph: Graph, mesh: Mesh, wafer: Wafer, numerics: Numerics): MemoryModel {
  const known = new Map<string, LayerBytes>();
  const layers = graph.layers.map((ops) => {
    const key = signature(ops);
    let layer = known.get(key);
    if (layer === undefined) {
      layer = {
        weights: sectionWeights(ops, mesh, numerics),
        activations: activationsPerToken(ops, mesh, numerics),
        ...kvOnPe(ops, mesh, numerics),
      };
      known.set(key, layer);
    }
    return layer;
  });
  const embedding = sectionWeights(graph.prologue, mesh, numerics);
  const head = sectionWeights(graph.epilogue, mesh, numerics);
  // A tied head reads the embedding's table where both are on one stage.
  const headBesideTable = graph.shape.tiedEmbeddings
    ? sectionWeights(
        graph.epilogue.filter((op) => op.kind !== 'linear'),
        mesh,
        numerics,
      )
    : head;
  const rows = rowsOfKv(graph, mesh);
  const logits = Math.ceil(graph.shape.vocab / mesh.width) * bytesOf(numerics.activations);

  return {
    mesh,
    kvRows: rows,
    stage(content, chunk) {
      let [weights, cache, score, activations] = [0, 0, 0, 0];
      for (let i = content.from; i < content.to; i++) {
        const layer = layers[i];
        weights += layer.weights;
        cache += layer.cache;
        if (layer.score > score) score = layer.score;
        if (layer.activations > activations) activations = layer.activations;
      }
      if (content.embedding) weights += embedding;
      if (content.head) weights += content.embedding ? headBesideTable : head;
      // Logits are wanted for the last token of a chunk only.
      const buffers = content.head ? Math.max(activations * chunk, activations + logits) : activations * chunk;
      const { sramPerPe: capacity, reservedSram: reserved } = wafer;
      const kv = capacity - reserved - weights - buffers;
      const kvPerToken = cache + score;
      const kvTokens = kv > 0 && kvPerToken > 0 ? Math.floor(kv / kvPerToken) * rows : 0;
      const plan = { capacity, system: 0, code: reserved, weights, padding: 0, activations: buffers, kv, kvPerToken };
      return kvPerToken > 0 ? { ...plan, kvTokens } : plan;
    },
  };
}

const signatures = new WeakMap<readonly Op[], string>();

/** Layers with equal signatures have equal sizes and costs. */
export function signature(ops: readonly Op[]): string {
  let text = signatures.get(ops);
  if (text === undefined) {
    text = ops
      .map((op) => {
        const sizes = Object.entries(op).filter(([, value]) => typeof value === 'number' || typeof value === 'object');
        return `${op.kind}:${op.out}:${'bias' in op}:${JSON.stringify(sizes)}`;
      })
      .join('|');
    signatures.set(ops, text);
  }
  return text;
}
