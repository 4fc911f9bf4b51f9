// Bytes on the fullest PE of a region, by class. Every tensor of a stage is tiled over the stage's whole region, so all
// PEs hold nearly the same; the count takes full tiles, so it is an upper bound for each PE.

import { definitionOf, type Graph, type Op } from '../model/index.ts';
import type { Wafer } from '../spec/index.ts';
import {
  columnPitch,
  formatOf,
  heldEmbedding,
  heldMatrix,
  heldTable,
  inputAxes,
  isUnpacked,
  kernelsOf,
  kvBytes,
  kvScaleBytes,
  lanesOf,
  outputAxisOf,
  tileOf,
} from '../wafer/index.ts';
import type { Axis, LanesOf, MemoryPlan, Numerics, Program, VectorType, WeightFormat } from '../wafer/index.ts';
import { codeSize } from './code-size.ts';
import { contentOf, sectionsOf, type Sections, type StageContent } from './sections.ts';

export interface Mesh {
  readonly width: number;
  readonly height: number;
}

const bytesOf = (type: VectorType): number => (type === 'fp16' ? 2 : 4);
const span = (axis: Axis, mesh: Mesh): number => (axis === 'x' ? mesh.width : mesh.height);
const other = (axis: Axis): Axis => (axis === 'x' ? 'y' : 'x');
const tile = (rows: number, cols: number, rowAxis: Axis, mesh: Mesh): number =>
  Math.ceil(rows / span(rowAxis, mesh)) * Math.ceil(cols / span(other(rowAxis), mesh));

type Axes = ReadonlyMap<Op, Axis>;

/** Groups of `group` neighbours, of `length` in a row, that a PE meets at most in its `tile` of them. */
function groupsIn(tile: number, length: number, group: number): number {
  const aligned = tile % group === 0 || group % tile === 0;
  return Math.min(Math.ceil(length / group), aligned ? Math.ceil(tile / group) : Math.ceil((tile - 1) / group) + 1);
}

/** Bytes of a tile of `inputs` columns of `outputs` weights, of rows `k` long; every PE of a row has the scales that it meets. */
function matrixBytes(format: WeightFormat, inputs: number, outputs: number, k: number): number {
  const { bits, group, scaleBytes = 0 } = formatOf(format);
  const scales = group === undefined ? 0 : group === 'row' ? 1 : groupsIn(inputs, k, group);
  return inputs * Math.ceil((outputs * bits) / 8) + outputs * scales * scaleBytes;
}

/** The types of tables as the plan takes them: it does not know which 16 bits a checkpoint has. */
const tableFormat = (numerics: Numerics): WeightFormat => heldTable(numerics, 'bf16');
const embeddingFormat = (numerics: Numerics): WeightFormat => heldEmbedding(numerics, 'bf16');
const tableBytes = (numerics: Numerics): number => formatOf(tableFormat(numerics)).bits / 8;

/** Weight bytes of an op on one PE. Norms and biases are held as activations are. Equal pieces unless `lanes` says otherwise. */
function weightsOnPe(op: Op, axis: Axis, mesh: Mesh, numerics: Numerics, lanes?: LanesOf): number {
  const vector = bytesOf(numerics.activations);
  switch (op.kind) {
    case 'embedding': {
      const rows = Math.ceil(op.vocab / span(other(axis), mesh));
      const { bits, group, scaleBytes = 0 } = formatOf(embeddingFormat(numerics));
      const width = Math.ceil(op.width / span(axis, mesh));
      const scales = group === undefined ? 0 : group === 'row' ? 1 : groupsIn(width, op.width, group);
      return rows * (Math.ceil((width * bits) / 8) + scales * scaleBytes);
    }
    case 'linear': {
      const outputs = tileOf(op.out, op.n, span(other(axis), mesh), lanes);
      const inputs = tileOf(op.input, op.k, span(axis, mesh), lanes);
      const bias = op.bias === undefined ? 0 : outputs * vector;
      return matrixBytes(heldMatrix(numerics, op.role), inputs, outputs, op.k) + bias;
    }
    case 'head-linear': {
      const inputs = op.isSpread ? op.k * op.heads : op.heads * (op.k + op.passed);
      return tile(inputs, op.n, axis, mesh) * tableBytes(numerics);
    }
    case 'moe': {
      const format = heldMatrix(numerics, 'expert');
      const inner = Math.ceil(op.expertFfn / span(other(axis), mesh));
      const outer = Math.ceil(op.width / span(axis, mesh));
      const bias = op.expertBias ? (2 * inner + outer) * vector : 0;
      // The router is held as a table is, its bias on every PE, for each chooses by itself.
      const router = tile(op.width, op.experts, axis, mesh) * tableBytes(numerics);
      const routerBias = op.routerBias === undefined ? 0 : op.experts * vector;
      if (format !== 'int8') {
        const expert =
          2 * matrixBytes(format, outer, inner, op.width) + matrixBytes(format, inner, outer, op.expertFfn) + bias;
        return op.experts * expert + router + routerBias;
      }
      // Sums in int8 are exact in any order, so each expert's may end on another PE of the line, which alone has its scales.
      const rows =
        Math.ceil((op.experts * 2 * inner) / span(axis, mesh)) +
        Math.ceil((op.experts * outer) / span(other(axis), mesh));
      return op.experts * (3 * inner * outer + bias) + 4 * rows + router + routerBias;
    }
    case 'rmsnorm':
      return Math.ceil(definitionOf(op).weightElements(op) / span(axis, mesh)) * vector;
    default:
      return 0;
  }
}

function weightsOf(ops: readonly Op[], axes: Axes, mesh: Mesh, numerics: Numerics, lanes?: LanesOf): number {
  return ops.reduce((sum, op) => sum + weightsOnPe(op, axes.get(op) ?? 'y', mesh, numerics, lanes), 0);
}

/**
 * Bytes of weights that the fullest PE of each stage would hold more if they were cut as the lowered layer cuts them,
 * whole heads and rotary pairs on PEs of their own. The plan counts equal pieces, which a layout that deals out pairs
 * apart from heads could reach, and the lowered layer does not.
 */
export function bytesOfWholeHeads({ graph, stages, numerics }: Program): number[] {
  const sections = sectionsOf(graph);
  const known = new Map<string, number>();
  const more = (kind: number, mesh: Mesh): number => {
    const key = `${kind} ${mesh.width} ${mesh.height}`;
    let bytes = known.get(key);
    if (bytes === undefined) {
      const ops = sections.kinds[kind];
      const axes = inputAxes(ops, 'y');
      bytes = weightsOf(ops, axes, mesh, numerics, lanesOf(ops)) - weightsOf(ops, axes, mesh, numerics);
      known.set(key, bytes);
    }
    return bytes;
  };
  return stages.map((stage) =>
    contentOf(sections, stage).layersOfKind.reduce((sum, n, kind) => sum + (n && n * more(kind, stage.region)), 0),
  );
}

/**
 * Bytes between the columns of matrices, so that each begins in a bank where it meets no other operand. The matrices
 * of one kernel lie side by side in each column. Experts are packed without: their columns are a few elements long.
 */
function paddingOf(ops: readonly Op[], axes: Axes, mesh: Mesh, numerics: Numerics): number {
  let padding = 0;
  for (const kernel of kernelsOf(ops)) {
    const [first] = kernel;
    const axis = axes.get(first) ?? 'y';
    if (first.kind === 'linear') {
      const column = kernel.reduce(
        (sum, op) => sum + (op.kind === 'linear' ? Math.ceil(op.n / span(other(axis), mesh)) : 0),
        0,
      );
      padding += Math.ceil(first.k / span(axis, mesh)) * gapAfter(column, heldMatrix(numerics, first.role));
    } else if (first.kind === 'embedding') {
      const rows = Math.ceil(first.vocab / span(other(axis), mesh));
      padding += rows * gapAfter(Math.ceil(first.width / span(axis, mesh)), embeddingFormat(numerics));
    }
  }
  return padding;
}

/** Bytes from the end of a column to where the next may begin. Banks count bytes: two int8 or four int4 lie as one fp16 does. */
function gapAfter(length: number, format: WeightFormat): number {
  const { bits } = formatOf(format);
  if (bits === 32) return 4 * (columnPitch(length, 'fp32') - length);
  return 2 * columnPitch(Math.ceil((length * bits) / 16), 'fp16') - Math.ceil((length * bits) / 8);
}

/** Bytes of the longest column that is widened into a buffer before it is multiplied. */
function unpackBuffer(ops: readonly Op[], axes: Axes, mesh: Mesh, numerics: Numerics): number {
  let longest = 0;
  for (const kernel of kernelsOf(ops)) {
    const [first] = kernel;
    const across = span(other(axes.get(first) ?? 'y'), mesh);
    if (first.kind === 'linear' && isUnpacked(heldMatrix(numerics, first.role))) {
      const column = kernel.reduce((sum, op) => sum + (op.kind === 'linear' ? Math.ceil(op.n / across) : 0), 0);
      longest = Math.max(longest, column);
    } else if (first.kind === 'moe' && isUnpacked(heldMatrix(numerics, 'expert'))) {
      const along = span(axes.get(first) ?? 'y', mesh);
      longest = Math.max(longest, 2 * Math.ceil(first.expertFfn / across), Math.ceil(first.width / along));
    }
  }
  return longest * bytesOf(numerics.activations);
}

/**
 * Bytes of the values of a layer that are alive at once, where most are, and of one more of the largest to
 * receive into. A value lives from its op to its last reader; `x` enters the section alive.
 */
function activationsPerToken(ops: readonly Op[], axes: Axes, mesh: Mesh, numerics: Numerics): number {
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
function kvOnPe(
  ops: readonly Op[],
  axes: Axes,
  mesh: Mesh,
  numerics: Numerics,
): { readonly cache: number; readonly score: number } {
  let cache = 0;
  let score = 0;
  for (const op of ops) {
    if (op.kind !== 'attention') continue;
    const channels = span(axes.get(op) ?? 'y', mesh);
    const kept = op.latent === undefined ? 2 : 1;
    const values = Math.ceil((op.kvHeads * op.headDim) / channels);
    const scales = numerics.kv === 'int8' ? groupsIn(values, op.kvHeads * op.headDim, op.headDim) * kvScaleBytes : 0;
    cache += kept * (values * kvBytes[numerics.kv] + scales);
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

/** Bytes of one section on one PE. */
interface SectionBytes {
  readonly weights: number;
  readonly padding: number;
  /** KV of one cached token, and the score it needs while attended to. */
  readonly cache: number;
  readonly score: number;
  /** Values of one token. */
  readonly activations: number;
  /** A widened column. */
  readonly column: number;
}

function sectionBytes(ops: readonly Op[], mesh: Mesh, numerics: Numerics): SectionBytes {
  const axes = inputAxes(ops, 'y');
  return {
    weights: weightsOf(ops, axes, mesh, numerics),
    padding: paddingOf(ops, axes, mesh, numerics),
    activations: activationsPerToken(ops, axes, mesh, numerics),
    column: unpackBuffer(ops, axes, mesh, numerics),
    ...kvOnPe(ops, axes, mesh, numerics),
  };
}

/** What a PE keeps before any tensor. */
export interface Reserve {
  readonly system: number;
  readonly code: number;
}

/** Answers how regions of one shape would be filled. */
export interface MemoryModel {
  readonly mesh: Mesh;
  /** Rows of PEs that share the cached tokens evenly. */
  readonly kvRows: number;
  /**
   * The memory of a stage. `kv` is negative when the rest alone does not fit.
   * @param chunk tokens that pass the stage together
   * @param pipelined whether the next chunk arrives while this one is worked on
   * @param reserve by default the system's, and the code of the kernels of the stage
   */
  stage(content: StageContent, chunk: number, pipelined: boolean, reserve?: Reserve): MemoryPlan;
}

/** Reserves by the kinds of sections that a stage runs; no mesh changes them. */
export function createReserves(sections: Sections, wafer: Wafer, numerics: Numerics): (c: StageContent) => Reserve {
  const known = new Map<string, Reserve>();
  return ({ layersOfKind, embedding, head }) => {
    const key = `${embedding} ${head} ${layersOfKind.map((n) => n > 0).join()}`;
    let reserve = known.get(key);
    if (reserve === undefined) {
      const { prologue, epilogue } = sections.graph;
      const kinds = sections.kinds.filter((_, kind) => layersOfKind[kind] > 0);
      const run = [...(embedding ? [prologue] : []), ...kinds, ...(head ? [epilogue] : [])];
      reserve = { system: wafer.systemSram, code: codeSize(run, numerics.activations, wafer) };
      known.set(key, reserve);
    }
    return reserve;
  };
}

export function createMemoryModel(
  sections: Sections,
  mesh: Mesh,
  wafer: Wafer,
  numerics: Numerics,
  reserveOf: (content: StageContent) => Reserve = createReserves(sections, wafer, numerics),
): MemoryModel {
  const { graph } = sections;
  const kinds = sections.kinds.map((ops) => sectionBytes(ops, mesh, numerics));
  const rows = rowsOfKv(graph, mesh);
  const value = bytesOf(numerics.activations);
  const input = Math.ceil(graph.shape.hidden / mesh.height) * value;
  const logits = Math.ceil(graph.shape.vocab / mesh.width) * value;
  const ends = new Map<readonly Op[], SectionBytes>();
  const end = (ops: readonly Op[]): SectionBytes => {
    let bytes = ends.get(ops);
    if (bytes === undefined) ends.set(ops, (bytes = sectionBytes(ops, mesh, numerics)));
    return bytes;
  };
  // A tied head reads the embedding's table where both are on one stage and in one format.
  const isShared = graph.shape.tiedEmbeddings && heldMatrix(numerics, 'head') === embeddingFormat(numerics);
  const headBesideTable = isShared ? graph.epilogue.filter((op) => op.kind !== 'linear') : graph.epilogue;

  return {
    mesh,
    kvRows: rows,
    stage(content, chunk, pipelined, reserve = reserveOf(content)) {
      let [weights, padding, cache, score, activations, column] = [0, 0, 0, 0, input, 0];
      for (const [kind, count] of content.layersOfKind.entries()) {
        if (count === 0) continue;
        const layer = kinds[kind];
        weights += count * layer.weights;
        padding += count * layer.padding;
        cache += count * layer.cache;
        if (layer.score > score) score = layer.score;
        if (layer.column > column) column = layer.column;
        if (layer.activations > activations) activations = layer.activations;
      }
      for (const ops of [
        ...(content.embedding ? [graph.prologue] : []),
        ...(content.head ? [content.embedding ? headBesideTable : graph.epilogue] : []),
      ]) {
        weights += end(ops).weights;
        padding += end(ops).padding;
        column = Math.max(column, end(ops).column);
      }
      // Logits are wanted for the last token of a chunk only.
      const inUse = content.head ? Math.max(activations * chunk, activations + logits) : activations * chunk;
      const buffers = inUse + column + (pipelined ? input * chunk : 0);
      const capacity = wafer.sramPerPe;
      const { system, code } = reserve;
      const kv = capacity - system - code - weights - padding - buffers;
      const kvPerToken = cache + score;
      const plan = { capacity, system, code, weights, padding, activations: buffers, kv, kvPerToken };
      if (kvPerToken === 0) return plan;
      return { ...plan, kvTokens: kv > 0 ? Math.floor(kv / kvPerToken) * rows : 0 };
    },
  };
}

/** Bytes by which the fullest PE of a stage is over when so many tokens are cached; 0 or less fits. */
export const overflowOf = (plan: MemoryPlan, kvRows: number, kvTokens: number): number =>
  Math.ceil(kvTokens / kvRows) * plan.kvPerToken - plan.kv;
