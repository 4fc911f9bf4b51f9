// Which placements there are: shapes of region, layers to a region, strips for the ends, tokens to a chunk. Every
// one that fits becomes a candidate with its figures; the objective picks one, and those that no other beats in
// every figure are kept for people to see. Nothing here depends on chance or on time.

import { assert, fail, formatCount, formatSi } from '../core/index.ts';
import type { Op } from '../model/index.ts';
import { cellsOn, placeGrid, rowsLeft, wafersFor, type GridShape } from './grid.ts';
import { createMemoryModel, createReserves, overflowOf, type MemoryModel, type Mesh } from './memory.ts';
import { contextOf, type Batch, type CompileOptions } from './request.ts';
import type { MemoryPlan } from '../wafer/index.ts';
import { contentOf, distinctContents, sectionsOf } from './sections.ts';
import type { Sections, StageContent, StageRange } from './sections.ts';

/** A placement that fits, without coordinates, and what it gives. */
export interface Candidate extends GridShape {
  readonly wafers: number;
  /** Most layers that one region holds. */
  readonly layersPerRegion: number;
  /** Most tokens that pass a stage together. */
  readonly chunk: number;
  /** Seconds of one token of one user, at the context that placements are compared at. */
  readonly decode: number;
  /** Seconds that each token of a long prompt adds. */
  readonly prefill: number;
  /** Output tokens per second over all sequences of that context for which there is room. */
  readonly throughput: number;
  /** Cached tokens, over all sequences, for which there is room. */
  readonly kvTokens: number;
}

export interface Search {
  readonly chosen: Candidate;
  /** Candidates that no other beats in wafers, in decode, in prefill and in throughput, fewest wafers and fastest first. */
  readonly frontier: readonly Candidate[];
  /** How many placements were looked at, and how many of them fit. */
  readonly tried: number;
  readonly fitting: number;
}

/** Tokens per chunk, most wanted first: sixteen already share most of what a step pays for its hops and tasks. */
const chunks = [16, 8, 4, 2, 1];
/** A bound on the search, far above the largest model that anyone serves. */
const waferLimit = 1024;
/** Longer regions than this have no cheaper sums, and less room for others beside them. */
const longestAspect = 4;
/** Regions of fewer PEs on a side have nearly all work on one PE. */
const shortestSide = 8;
/** Rows and columns of regions on a wafer. */
const mostCells = 32;
/** Placements of each number of wafers and regions that are priced in full. */
const pricedInFull = 6;
/** Heights of a strip that are tried, from the least that holds its section to all rows left. */
const stripHeights = 8;

/**
 * All placements of a model and the best one.
 * @throws IngotError PROGRAM_DOES_NOT_FIT, with what is short and how many wafers would do; OBJECTIVE_UNMET, with the
 * best that there is
 */
export function search(options: CompileOptions, sections: Sections): Search {
  const space = createSpace(options, sections);
  const meshes = options.mesh === undefined ? candidateMeshes(space) : [checkMesh(options)];
  const fitting: Fit[] = [];
  let tried = 0;
  for (const mesh of meshes) {
    if (isTooSmall(space, mesh)) continue;
    const memory = space.memoryOf(mesh);
    for (const layersPerRegion of regionLoads(space, memory)) {
      for (const withStrips of [false, true]) {
        tried++;
        const fit = fitOf(space, memory, layersPerRegion, withStrips);
        if (fit !== undefined) fitting.push(fit);
      }
    }
  }
  const allowed = fitting.filter(({ wafers }) => wafers <= (options.maxWafers ?? waferLimit));
  if (allowed.length === 0) doesNotFit(space, meshes, fitting);
  const candidates = fastestOfEach(space, allowed).map((fit) => priced(space, fit));
  return { chosen: best(candidates, options), frontier: frontierOf(candidates), tried, fitting: fitting.length };
}

/** Of the placements with as many wafers and regions, the few whose layers are fastest: the rest is not priced in full. */
function fastestOfEach({ options, sections }: Space, fits: readonly Fit[]): Fit[] {
  const { cost } = options;
  const batch = { sequences: 1, tokens: 1, cached: contextOf(options) - 1 };
  const known = new Map<Mesh, number>();
  const secondsOf = (mesh: Mesh): number => {
    let seconds = known.get(mesh);
    if (seconds === undefined) {
      const kinds = sections.kinds.map((ops) => cost.section(ops, mesh, batch));
      seconds = sections.kindOf.reduce((sum, kind) => sum + kinds[kind], 0);
      known.set(mesh, seconds);
    }
    return seconds;
  };
  const groups = new Map<string, Fit[]>();
  for (const fit of fits) {
    const key = `${fit.wafers} ${fit.regions} ${fit.headRows > 0}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [fit]);
    else group.push(fit);
  }
  // The sort is stable, so equals stay in the order in which they were found.
  return [...groups.values()].flatMap((group) =>
    group.sort((a, b) => secondsOf(a.mesh) - secondsOf(b.mesh)).slice(0, pricedInFull),
  );
}

/**
 * The most layers like the first of a graph that its `maxWafers` (1 when absent) hold, with the embedding and the head:
 * how large a model of this shape may be.
 */
export function mostLayers(options: CompileOptions): number {
  const { graph, maxWafers = 1 } = options;
  // Two, so that the plan has buffers between regions.
  const layers = [graph.layers[0], graph.layers[0]];
  const space = createSpace(options, sectionsOf({ ...graph, layers }));
  const ends = { embeddingRows: space.stripRows('embedding', 1), headRows: space.stripRows('head', 1) };
  const { embeddingRows, headRows } = ends;
  if (embeddingRows === undefined || headRows === undefined) return 0;
  let most = 0;
  for (const mesh of candidateMeshes(space)) {
    if (isTooSmall(space, mesh)) continue;
    const shape = { mesh, regions: 1, embeddingRows, headRows };
    const cells = (isFirst: boolean, isLast: boolean): number => cellsOn(shape, space.program, isFirst, isLast);
    const regions =
      maxWafers === 1
        ? cells(true, true)
        : cells(true, false) + (maxWafers - 2) * cells(false, false) + cells(false, true);
    most = Math.max(most, regions * layersOf(space, space.memoryOf(mesh)));
  }
  return most;
}

interface Space {
  readonly options: CompileOptions;
  readonly sections: Sections;
  /** The program rectangle of a wafer. */
  readonly program: Mesh;
  /** Bytes of the weights of a layer of each kind, all together. */
  readonly untiled: readonly number[];
  memoryOf(mesh: Mesh): MemoryModel;
  /** Least rows of a strip across the wafer that holds the embedding, or the head, for a chunk. */
  stripRows(end: 'embedding' | 'head', chunk: number): number | undefined;
  /** What regions hold when layers are dealt evenly over so many. */
  contentsOf(regions: number, withEnds: boolean): readonly StageContent[];
}

function createSpace(options: CompileOptions, sections: Sections): Space {
  const { wafer, numerics } = options;
  const program = { width: wafer.programWidth, height: wafer.programHeight };
  const reserveOf = createReserves(sections, wafer, numerics);
  const memoryOf = (mesh: Mesh): MemoryModel => createMemoryModel(sections, mesh, wafer, numerics, reserveOf);
  const none = sections.kinds.map(() => 0);
  const strips = new Map<string, number | undefined>();
  const contents = new Map<string, readonly StageContent[]>();
  return {
    options,
    sections,
    program,
    untiled: sections.kinds.map((_, kind) => {
      const layersOfKind = sections.kinds.map((__, other) => (other === kind ? 1 : 0));
      return memoryOf({ width: 1, height: 1 }).stage({ layersOfKind, embedding: false, head: false }, 1, false).weights;
    }),
    memoryOf,
    stripRows(end, chunk) {
      const key = `${end} ${chunk}`;
      if (!strips.has(key)) {
        const content = { layersOfKind: none, embedding: end === 'embedding', head: end === 'head' };
        const fits = (rows: number): boolean =>
          memoryOf({ width: program.width, height: rows }).stage(content, chunk, true).kv >= 0;
        let rows = 1;
        while (rows <= program.height && !fits(rows)) rows++;
        strips.set(key, rows <= program.height ? rows : undefined);
      }
      return strips.get(key);
    },
    contentsOf(regions, withEnds) {
      const key = `${regions} ${withEnds}`;
      let known = contents.get(key);
      if (known === undefined) {
        known = distinctContents(sections, layerRanges(sections, regions, withEnds));
        contents.set(key, known);
      }
      return known;
    },
  };
}

/** Layers over regions, as evenly as whole layers allow. */
export function layerRanges(sections: Sections, regions: number, withEnds: boolean): StageRange[] {
  const layers = sections.kindOf.length;
  return Array.from({ length: regions }, (_, i) => ({
    fromLayer: Math.floor((i * layers) / regions),
    toLayer: Math.floor(((i + 1) * layers) / regions),
    hasEmbedding: withEnds && i === 0,
    hasHead: withEnds && i === regions - 1,
  }));
}

/**
 * Shapes worth trying, smallest first: sides that cut the residual width into equal tiles, where any longer side would
 * only add padding, and sides of which a whole number fills the program rectangle, with or without strips.
 */
function candidateMeshes({ options, program, stripRows }: Space): Mesh[] {
  const { hidden } = options.graph.shape;
  const exact: number[] = [];
  for (let tile = 1; tile <= hidden; tile++) exact.push(Math.ceil(hidden / tile));
  const shares = (length: number): number[] =>
    Array.from({ length: mostCells }, (_, i) => Math.floor(length / (i + 1)));
  const [embedding, head] = [stripRows('embedding', 1) ?? 0, stripRows('head', 1) ?? 0];
  const heights = [0, embedding, head, embedding + head].flatMap((rows) => shares(Math.max(0, program.height - rows)));
  const upTo = (sides: readonly number[], limit: number): number[] =>
    [...new Set(sides)].filter((side) => side >= Math.min(shortestSide, hidden) && side <= limit);
  const meshes: Mesh[] = [];
  for (const width of upTo([...exact, ...shares(program.width)], program.width))
    for (const height of upTo([...exact, ...heights], program.height))
      if (Math.max(width, height) <= longestAspect * Math.min(width, height)) meshes.push({ width, height });
  return meshes.sort((a, b) => a.width * a.height - b.width * b.height || a.width - b.width);
}

function checkMesh({ mesh, wafer }: CompileOptions): Mesh {
  assert(mesh !== undefined, 'there is a mesh to check');
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

/** Numbers of layers to a region that differ in how many regions they take; none that cannot fit. */
function regionLoads(space: Space, memory: MemoryModel): number[] {
  const layers = space.sections.kindOf.length;
  const most = Math.min(layers, layersOf(space, memory));
  const loads = new Set<number>();
  for (let load = 1; load <= most; load++) loads.add(Math.ceil(layers / Math.ceil(layers / load)));
  return [...loads];
}

/** Layers that fit on one region, whichever they are, with the least of buffers. */
function layersOf({ sections, options }: Space, memory: MemoryModel): number {
  const rows = Math.ceil(options.kvTokens / memory.kvRows);
  const fit = sections.kinds.map((_, kind) => {
    const plan = (layers: number): MemoryPlan => {
      const layersOfKind = sections.kinds.map((__, other) => (other === kind ? layers : 0));
      return memory.stage({ layersOfKind, embedding: false, head: false }, 1, sections.kindOf.length > 1);
    };
    // The first takes the code, the values and the scores of all; each one more its weights and its cache.
    const [one, two] = [plan(1), plan(2)];
    const more = one.kv - two.kv + rows * (two.kvPerToken - one.kvPerToken);
    return 1 + Math.floor((one.kv - rows * one.kvPerToken) / more);
  });
  return Math.max(0, Math.min(...fit));
}

/** A region on which the weights of the smallest layer are more than the SRAM, however they are cut. */
function isTooSmall({ options, sections, untiled }: Space, { width, height }: Mesh): boolean {
  const room = options.wafer.sramPerPe - options.wafer.systemSram;
  return sections.kinds.length > 0 && Math.min(...untiled) > room * width * height;
}

/** A placement that fits. */
interface Fit extends GridShape {
  readonly wafers: number;
  readonly layersPerRegion: number;
  readonly chunk: number;
  readonly kvTokens: number;
}

function fitOf(space: Space, memory: MemoryModel, load: number, withStrips: boolean): Fit | undefined {
  const { options, sections, program } = space;
  const { mesh } = memory;
  const layers = sections.kindOf.length;
  const perWafer = cellsOn({ mesh, regions: 1, embeddingRows: 0, headRows: 0 }, program, false, false);
  const regions = Math.ceil(layers / load);
  // Ends share a region where it is the only one of its wafer.
  if (!withStrips && perWafer > 1 && regions > 1) return undefined;
  for (const chunk of chunks) {
    const contents = space.contentsOf(regions, !withStrips);
    const pipelined = withStrips || regions > 1;
    const plans = contents.map((content) => memory.stage(content, chunk, pipelined));
    if (plans.some((plan) => overflowOf(plan, memory.kvRows, options.kvTokens) > 0)) continue;
    const kvTokens = plans.reduce((room, plan) => Math.min(room, plan.kvTokens ?? Infinity), Infinity);
    const rows = (end: 'embedding' | 'head'): number | undefined => (withStrips ? space.stripRows(end, chunk) : 0);
    const [embeddingRows, headRows] = [rows('embedding'), rows('head')];
    if (embeddingRows === undefined || headRows === undefined) continue;
    const shape = { mesh, regions, embeddingRows, headRows };
    const wafers = wafersFor(shape, program);
    if (wafers === undefined || wafers > waferLimit) continue;
    return { ...shape, wafers, layersPerRegion: load, chunk, kvTokens };
  }
  return undefined;
}

/** The strips as tall as they are fastest, in the rows that the regions leave: first the head's, then the embedding's. */
function withStripRows({ options, program }: Space, fit: Fit): Fit {
  if (fit.headRows === 0) return fit;
  const { cost, graph } = options;
  const one = { sequences: 1, tokens: 1, cached: 0 };
  const fastest = (ops: readonly Op[], least: number, left: number): number => {
    const ratio = ((least + left) / least) ** (1 / (stripHeights - 1));
    const heights = Array.from({ length: stripHeights }, (_, i) => Math.floor(least * ratio ** i + 1e-9));
    const secondsAt = (height: number): number => cost.section(ops, { width: program.width, height }, one);
    return heights.reduce((best, next) => (secondsAt(next) < secondsAt(best) ? next : best));
  };
  const leftOn = (shape: GridShape, wafer: number): number => rowsLeft(shape, program, fit.wafers, wafer);
  const headRows = fastest(graph.epilogue, fit.headRows, leftOn(fit, fit.wafers - 1));
  const shape = { ...fit, headRows };
  return { ...shape, embeddingRows: fastest(graph.prologue, fit.embeddingRows, leftOn(shape, 0)) };
}

function priced(space: Space, fit: Fit): Candidate {
  const shape = withStripRows(space, fit);
  const { wafers, chunk, kvTokens } = shape;
  const { options, sections, program } = space;
  const { cost, graph } = options;
  const context = contextOf(options);
  const cached = context - 1;
  const sequences = Math.max(1, Math.floor(kvTokens / context));
  const together = Math.min(chunk, sequences);
  const withStrips = shape.headRows > 0;
  const layers = layerRanges(sections, shape.regions, !withStrips).map((range) => contentOf(sections, range));
  const none = sections.kinds.map(() => 0);
  const contents = withStrips
    ? [
        { layersOfKind: none, embedding: true, head: false },
        ...layers,
        { layersOfKind: none, embedding: false, head: true },
      ]
    : layers;
  const places = placeGrid(shape, program, wafers);
  /** Seconds of all stages and of the slowest one, handing on included. */
  const of = (batch: Batch): { readonly all: number; readonly slowest: number } => {
    const kinds = sections.kinds.map((ops) => cost.section(ops, shape.mesh, batch));
    const tokens = batch.sequences * batch.tokens;
    let [all, slowest] = [0, 0];
    for (const [i, content] of contents.entries()) {
      const { wafer, region } = places[i];
      const next = places.at(i + 1);
      let seconds =
        next === undefined ? 0 : (next.wafer === wafer ? cost.move : cost.cross)(region, next.region, tokens);
      for (const [kind, count] of content.layersOfKind.entries()) seconds += count * kinds[kind];
      if (content.embedding) seconds += cost.section(graph.prologue, region, batch);
      // A prompt's chunk wants the logits of its last token only.
      if (content.head) seconds += cost.section(graph.epilogue, region, { ...batch, tokens: 1 });
      all += seconds;
      if (seconds > slowest) slowest = seconds;
    }
    return { all, slowest };
  };
  const one = of({ sequences: 1, tokens: 1, cached });
  const prompt = chunk === 1 ? one : of({ sequences: 1, tokens: chunk, cached });
  const decode = one.all + cost.host(1);
  let throughput = Math.min(1 / one.slowest, sequences / decode);
  if (together > 1) {
    const batch = of({ sequences: together, tokens: 1, cached });
    const latency = batch.all + cost.host(together);
    throughput = Math.max(throughput, Math.min(together / batch.slowest, sequences / latency));
  }
  // One sequence's chunks follow one another through the stages.
  const prefill = prompt.slowest / chunk;
  return { ...shape, decode, prefill, throughput };
}

/** Lower is better; later entries decide where earlier ones are equal. */
const scores = {
  wafers: (c: Candidate): readonly number[] => [c.wafers, c.decode + c.prefill],
  latency: (c: Candidate): readonly number[] => [c.decode + c.prefill, c.wafers],
  throughput: (c: Candidate): readonly number[] => [-c.throughput / c.wafers, c.decode],
};

function best(candidates: readonly Candidate[], options: CompileOptions): Candidate {
  const { objective = 'wafers', maxLatency = Infinity, model } = options;
  const quick = candidates.filter(({ decode }) => decode <= maxLatency);
  if (quick.length === 0) {
    const fastest = candidates.reduce((a, b) => (b.decode < a.decode ? b : a));
    fail({
      code: 'OBJECTIVE_UNMET',
      message: `no placement of ${model} makes a token in the time allowed`,
      expected: `at most ${formatSi(maxLatency, 's')} a token of one user`,
      found: `${formatSi(fastest.decode, 's')} at best, on ${fastest.wafers} wafer${fastest.wafers === 1 ? '' : 's'}, of ${candidates.length} placements priced`,
      suggestion: 'allow more time or more wafers, use smaller weights, or a shorter context',
    });
  }
  const score = scores[objective];
  return quick.reduce((a, b) => (isLess(score(b), score(a)) ? b : a));
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  for (const [i, value] of a.entries()) if (value !== b[i]) return value < b[i];
  return false;
}

function frontierOf(candidates: readonly Candidate[]): Candidate[] {
  const sorted = [...candidates].sort((a, b) => (isLess(scores.wafers(a), scores.wafers(b)) ? -1 : 1));
  const kept: Candidate[] = [];
  for (const next of sorted) {
    const isBeaten = kept.some(
      (c) =>
        c.wafers <= next.wafers &&
        c.decode <= next.decode &&
        c.prefill <= next.prefill &&
        c.throughput >= next.throughput,
    );
    if (!isBeaten) kept.push(next);
  }
  return kept.filter(
    (c) =>
      !kept.some(
        (o) =>
          o !== c &&
          o.wafers <= c.wafers &&
          o.decode <= c.decode &&
          o.prefill <= c.prefill &&
          o.throughput >= c.throughput &&
          (o.wafers < c.wafers || o.decode < c.decode || o.prefill < c.prefill || o.throughput > c.throughput),
      ),
  );
}

/** By how much the roomiest placement is over, and what would do. */
function doesNotFit(space: Space, meshes: readonly Mesh[], fitting: readonly Fit[]): never {
  const { options, sections } = space;
  const { wafer, model, kvTokens } = options;
  const allowed = Math.min(options.maxWafers ?? waferLimit, sections.kindOf.length);
  const enough = fitting.reduce((least, { wafers }) => Math.min(least, wafers), Infinity);
  const contents = distinctContents(sections, layerRanges(sections, allowed, true));
  let nearest: { over: number; mesh: Mesh } = { over: Infinity, mesh: meshes[0] };
  for (const mesh of meshes) {
    const memory = space.memoryOf(mesh);
    const over = Math.max(
      ...contents.map((content) => overflowOf(memory.stage(content, 1, allowed > 1), memory.kvRows, kvTokens)),
    );
    if (over <= nearest.over) nearest = { over, mesh };
  }
  const { over, mesh } = nearest;
  const memory = space.memoryOf(mesh);
  const reserved = Math.max(
    ...contents.map((content) => {
      const { system, code } = memory.stage(content, 1, false);
      return system + code;
    }),
  );
  const splits =
    options.mesh === undefined
      ? 'a layer is not split over wafers, so more of them do not help: use smaller weights or fewer cached tokens; ' +
        '"ingot port" tries both'
      : 'no number of wafers holds a layer on each region of this mesh: a larger one, or none to let the compiler choose';
  fail({
    code: 'PROGRAM_DOES_NOT_FIT',
    message: `${model} does not fit on ${allowed} ${wafer.name} wafer${allowed === 1 ? '' : 's'}`,
    where: `the fullest PE of a ${mesh.width}x${mesh.height} region`,
    expected: `at most ${formatCount(wafer.sramPerPe)} B, of which ${formatCount(reserved)} B are the system's and code`,
    found: `${formatCount(over)} B per PE over, about ${formatSi(over * mesh.width * mesh.height, 'B')} on such a region, with room for ${formatCount(kvTokens)} cached tokens`,
    suggestion: enough === Infinity ? splits : `use ${enough} wafers, smaller weights, or fewer cached tokens`,
  });
}
