// Graph to program, first cut: layers cut evenly over as few wafers as hold them, every stage on one
// rectangle of the same size, every op over the whole rectangle. The steps are the list in `compile`.

import { fail, formatSi } from '../core/index.ts';
import type { Graph } from '../model/index.ts';
import type { Wafer } from '../spec/index.ts';
import { groupSize } from '../wafer/index.ts';
import type { Numerics, Program, Stage } from '../wafer/index.ts';
import { createMemoryModel, signature } from './memory.ts';
import type { MemoryModel, Mesh, StageContent } from './memory.ts';

export interface CompileOptions {
  readonly model: string;
  readonly graph: Graph;
  readonly wafer: Wafer;
  readonly numerics: Numerics;
  /** Cached tokens, over all sequences, that must fit. */
  readonly kvTokens: number;
  /** At most this many wafers; as many as needed when absent. */
  readonly maxWafers?: number;
  /** Use this mesh instead of searching. */
  readonly mesh?: Mesh;
  /** What a mesh costs for this graph, lower is better. The placer knows no simulator: it is told. */
  readonly cost: (mesh: Mesh) => number;
}

/**
 * Prompt tokens per prefill chunk, most wanted first. Sixteen already share most of what a step pays for its
 * hops and tasks; more would take SRAM, hence a larger mesh, hence slower decode.
 */
const prefillChunks = [16, 8, 4, 2, 1];
/** A bound on the search, far above the largest model that anyone serves. */
const waferLimit = 1024;

/**
 * Place a model on wafers.
 * @returns the program with the cheapest mesh among those that fit on the fewest wafers
 * @throws IngotError PROGRAM_DOES_NOT_FIT, with what is short and how many wafers would do
 */
export function compile(options: CompileOptions): Program {
  const { graph, wafer, numerics } = options;
  const meshes = options.mesh === undefined ? candidateMeshes(graph, wafer) : [checkMesh(options.mesh, wafer)];
  const memories = meshes.map((mesh) => createMemoryModel(graph, mesh, wafer, numerics));
  const wafers = fewestWafers(options, memories);
  const { memory, chunk } = cheapest(options, memories, wafers);
  const { mesh } = memory;
  const stages = contents(graph, wafers).map((content, index) =>
    stage(content, index, mesh, memory.stage(content, chunk)),
  );
  return {
    format: 'ingot-program',
    version: 2,
    target: wafer.id,
    model: options.model,
    graph,
    numerics,
    prefillChunk: chunk,
    stages,
  };
}

/**
 * Meshes worth trying, smallest first: all squares, and rectangles whose sides cut the residual width into
 * equal tiles (any longer side would only add padding), or reach the edge of the program rectangle.
 */
export function candidateMeshes(graph: Graph, wafer: Wafer): Mesh[] {
  const { hidden } = graph.shape;
  const short = Math.min(wafer.programWidth, wafer.programHeight);
  const squares = Array.from({ length: short }, (_, i) => ({ width: i + 1, height: i + 1 }));
  const sides = new Set([wafer.programWidth, wafer.programHeight]);
  for (let tile = 1; tile <= 64; tile++) sides.add(Math.ceil(hidden / tile));
  const rectangles = [...sides].flatMap((width) =>
    width > wafer.programWidth
      ? []
      : [...sides]
          .filter((height) => height > width && height <= wafer.programHeight)
          .map((height) => ({ width, height })),
  );
  return [...squares, ...rectangles].sort((a, b) => a.width * a.height - b.width * b.height || a.width - b.width);
}

function checkMesh(mesh: Mesh, wafer: Wafer): Mesh {
  const { width, height } = mesh;
  const fits = (n: number, limit: number): boolean => Number.isInteger(n) && n >= 1 && n <= limit;
  if (!fits(width, wafer.programWidth) || !fits(height, wafer.programHeight)) {
    fail({
      code: 'MESH_INVALID',
      message: `the mesh ${width}x${height} is not a rectangle of ${wafer.name}`,
      expected: `1x1 to ${wafer.programWidth}x${wafer.programHeight} PEs`,
      found: `${width}x${height}`,
      suggestion: 'leave the mesh out to let the compiler choose one',
    });
  }
  return mesh;
}

/** Layers over wafers, as evenly as whole layers allow; embedding on the first, head on the last. */
function contents(graph: Graph, wafers: number): StageContent[] {
  const layers = graph.layers.length;
  return Array.from({ length: wafers }, (_, i) => ({
    from: Math.floor((i * layers) / wafers),
    to: Math.floor(((i + 1) * layers) / wafers),
    embedding: i === 0,
    head: i === wafers - 1,
  }));
}

/** Bytes by which the fullest PE of any stage is over when all wanted KV tokens are cached; 0 or less fits. */
function overflow(
  options: CompileOptions,
  memory: MemoryModel,
  stages: readonly StageContent[],
  chunk: number,
): number {
  let over = -Infinity;
  for (const content of stages) {
    const { kv, kvPerToken } = memory.stage(content, chunk);
    over = Math.max(over, Math.ceil(options.kvTokens / memory.kvRows) * kvPerToken - kv);
  }
  return over;
}

/** Stages that differ in what they hold; the middle ones of a uniform model are alike. */
function distinct(graph: Graph, stages: readonly StageContent[]): StageContent[] {
  const seen = new Map<string, StageContent>();
  for (const content of stages) {
    const kinds = new Map<string, number>();
    for (let layer = content.from; layer < content.to; layer++) {
      const key = signature(graph.layers[layer]);
      kinds.set(key, (kinds.get(key) ?? 0) + 1);
    }
    seen.set(JSON.stringify([content.embedding, content.head, [...kinds]]), content);
  }
  return [...seen.values()];
}

/** The smallest number of wafers on which some mesh fits. */
function fewestWafers(options: CompileOptions, memories: readonly MemoryModel[]): number {
  const { graph, wafer, maxWafers } = options;
  const most = Math.min(waferLimit, graph.layers.length);
  const largest = memories[memories.length - 1];
  // No fewer can do: all weights, untiled, over all PEs.
  const untiled = createMemoryModel(graph, { width: 1, height: 1 }, wafer, options.numerics);
  const whole = { from: 0, to: graph.layers.length, embedding: true, head: true };
  const perWafer = largest.mesh.width * largest.mesh.height * Math.max(1, wafer.sramPerPe - wafer.reservedSram);
  const least = Math.max(1, Math.ceil(untiled.stage(whole, 1).weights / perWafer));
  for (let wafers = least; wafers <= most; wafers++) {
    const stages = distinct(graph, contents(graph, wafers));
    // Large meshes are the likelier to fit.
    if (memories.findLast((memory) => overflow(options, memory, stages, 1) <= 0) === undefined) continue;
    if (maxWafers !== undefined && wafers > maxWafers) return doesNotFit(options, memories, wafers);
    return wafers;
  }
  return doesNotFit(options, memories, undefined);
}

function doesNotFit(options: CompileOptions, memories: readonly MemoryModel[], enough: number | undefined): never {
  const { wafer, model, kvTokens, graph } = options;
  const allowed = Math.min(options.maxWafers ?? waferLimit, graph.layers.length);
  const stages = distinct(graph, contents(graph, allowed));
  const shortfalls = memories.map((memory) => ({ memory, over: overflow(options, memory, stages, 1) }));
  const { memory, over } = shortfalls.reduce((best, next) => (next.over <= best.over ? next : best));
  const { width, height } = memory.mesh;
  fail({
    code: 'PROGRAM_DOES_NOT_FIT',
    message: `${model} does not fit on ${allowed} ${wafer.name} wafer${allowed === 1 ? '' : 's'}`,
    where: `the fullest PE of a ${width}x${height} region`,
    expected: `at most ${wafer.sramPerPe} B, of which ${wafer.reservedSram} B are reserved for code and buffers`,
    found: `${over} B per PE over, about ${formatSi(over * width * height, 'B')} a wafer, with room for ${kvTokens} cached tokens`,
    suggestion:
      enough === undefined
        ? 'a layer is not split over wafers, so more of them do not help: use smaller weights or fewer cached tokens'
        : `use ${enough} wafers, smaller weights, or fewer cached tokens`,
  });
}

/**
 * Among the meshes that fit with the largest possible prefill chunk, the cheapest. Chunk before cost: decode
 * wants the smallest mesh that holds the weights, but one filled to the brim has no buffers to prefill with.
 */
function cheapest(
  options: CompileOptions,
  memories: readonly MemoryModel[],
  wafers: number,
): { memory: MemoryModel; chunk: number } {
  const stages = distinct(options.graph, contents(options.graph, wafers));
  for (const chunk of prefillChunks) {
    const fitting = memories.filter((memory) => overflow(options, memory, stages, chunk) <= 0);
    if (fitting.length === 0) continue;
    const costs = fitting.map((memory) => ({ memory, cost: options.cost(memory.mesh) }));
    return { memory: costs.reduce((best, next) => (next.cost < best.cost ? next : best)).memory, chunk };
  }
  throw new Error('assertion failed: a mesh that fits a chunk of one token was found before');
}

function stage(content: StageContent, wafer: number, mesh: Mesh, memory: Stage['memory']): Stage {
  return {
    wafer,
    fromLayer: content.from,
    toLayer: content.to,
    hasEmbedding: content.embedding,
    hasHead: content.head,
    region: { x: 0, y: 0, width: mesh.width, height: mesh.height },
    groups: { x: groupSize(mesh.width), y: groupSize(mesh.height) },
    memory,
  };
}
