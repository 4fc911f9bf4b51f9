// Steps of a placed program in closed form. A token passes the stages one after another; different tokens are in
// different stages at once. Everything inside a wafer is in cycles; the clock and the links between wafers turn them
// into seconds.

import { cycles, energy, scale, seconds } from '../../core/index.ts';
import type { Cycles, Hertz, Joules, Seconds } from '../../core/index.ts';
import type { Op } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { kvTokensOf, wafersOf, type Phase, type Program, type Stage } from '../../wafer/index.ts';
import { priceSequence } from './collective-cost.ts';
import { emptyBreakdown, price, type Breakdown } from './price.ts';
import { addTimes, createSectionCost, type SectionCost, type StepItem } from './section-cost.ts';
import { createTransfers } from './transfer.ts';

/** A step of more chunks than this fills the pipeline with whole chunks; smaller micro-batches are not tried. */
const manyChunks = 16;

/** One token of one sequence through all stages. */
export interface StepCost {
  /** On the wafers. */
  readonly cycles: Cycles;
  /** Time between wafers and to the host: link latency and transfer. */
  readonly io: Seconds;
  readonly time: Seconds;
}

/** Many sequences in flight, as many as there is KV for. */
export interface Throughput {
  /** Output tokens over all sequences. */
  readonly tokensPerSecond: number;
  /** Sequences of this context for whose KV there is room. */
  readonly sequences: number;
  /** Sequences that pass a stage together. */
  readonly together: number;
  /** Of the slowest stage, with what it takes to hand on its values. */
  readonly slowestStage: number;
  readonly slowest: Seconds;
  /** Share of stage time in which a stage has nothing to do. */
  readonly idle: number;
}

/** With the cycles of its attention by what layers cost it, which is asked for by every size that is tried. */
interface PricedItem extends StepItem {
  readonly attention: readonly number[];
}

/** Time of a step, and the seconds that each stage is busy in it; not to be changed. */
interface Timed {
  readonly time: Seconds;
  readonly busy: () => Float64Array;
}

/** Tokens that pass a stage together. */
interface MicroBatch {
  readonly items: readonly PricedItem[];
  readonly tokens: number;
  /** Tokens that want logits. */
  readonly logits: number;
}

/** Layers of a stage that cost the same. */
interface LayerCost {
  readonly cost: SectionCost;
  /** Its place among the costs of all layers. */
  readonly index: number;
  readonly times: number;
}

/** Stages that hold alike on regions alike, and hand on alike, take equally long. */
interface StageKind {
  /** The first stage of the kind, and how many there are. */
  readonly stage: number;
  readonly count: number;
  readonly layers: readonly LayerCost[];
  readonly embedding?: SectionCost;
  readonly head?: SectionCost;
}

/** Simulated cost of a program's steps: cycles at a clock, links between wafers, energy at the rated power. */
export function createStepModel(program: Program, wafer: Wafer, clock: Hertz = wafer.clock) {
  const { graph, numerics, prefillChunk, stages } = program;
  const type = numerics.activations;
  const wafers = wafersOf(program);
  const transfers = createTransfers(graph.shape.hidden, graph.shape.vocab, type, wafer);
  const { kinds, kindOf, costs } = stageKinds(program, wafer);
  const counts = kinds.map(({ count }) => count);

  /** What stages of a kind do to hand their values on. */
  const handOn = ({ stage }: StageKind, tokens: number): readonly Phase[] => {
    const [from, to] = [stages[stage], stages.at(stage + 1)];
    if (to === undefined) return [];
    const way = from.wafer === to.wafer ? transfers.move : transfers.edges;
    return way(from.region, to.region, tokens);
  };
  const crosses = ({ stage }: StageKind): boolean =>
    stage < stages.length - 1 && stages[stage + 1].wafer !== stages[stage].wafer;
  /** Cycles of handing on, by tokens and kind. */
  const handing: (readonly number[])[] = [];
  const handingOf = (tokens: number): readonly number[] =>
    (handing[tokens] ??= kinds.map((kind) => priceSequence(handOn(kind, tokens), wafer)));

  const cyclesOf = (kind: StageKind, { items, tokens, logits }: MicroBatch): number => {
    let sum = kind.embedding?.matrices(tokens) ?? 0;
    for (const { cost, index, times } of kind.layers) {
      let layer = cost.matrices(tokens);
      for (let i = 0; i < items.length; i++) layer += items[i].attention[index];
      sum += times * layer;
    }
    if (kind.head !== undefined && logits > 0) sum += kind.head.matrices(logits);
    return sum;
  };
  const priced = (item: StepItem): PricedItem => ({
    tokens: item.tokens,
    cached: item.cached,
    attention: costs.map((cost) => cost.attention(item)),
  });
  /** Seconds of a stage of each kind, handing on included. */
  const secondsOf = (batch: MicroBatch): number[] => {
    const handed = handingOf(batch.tokens);
    return kinds.map(
      (kind, i) => (cyclesOf(kind, batch) + handed[i]) / clock + (crosses(kind) ? transfers.link(batch.tokens) : 0),
    );
  };
  const sumOverStages = (byKind: readonly number[]): number =>
    byKind.reduce((sum, seconds, i) => sum + kinds[i].count * seconds, 0);

  const one = (cached: number, logits: number): MicroBatch => ({
    items: [priced({ tokens: 1, cached })],
    tokens: 1,
    logits,
  });
  // One token of one sequence is what is asked for most: all but its attention is the same for every context.
  const io = seconds((wafers - 1) * transfers.link(1) + transfers.host(1, 1));
  const attention = new Map<SectionCost, number>();
  for (const { layers, count } of kinds)
    for (const { cost, times } of layers) attention.set(cost, (attention.get(cost) ?? 0) + count * times);
  const attending = [...attention].map(([cost, times]) => ({ cost, times }));
  let besideAttention: number | undefined;
  const decode = (cached: number): StepCost => {
    besideAttention ??= kinds.reduce((sum, kind, i) => {
      const rest = cyclesOf(kind, { items: [], tokens: 1, logits: 1 });
      return sum + kind.count * (rest + handingOf(1)[i]);
    }, 0);
    const item = { tokens: 1, cached };
    let inside = besideAttention;
    for (const { cost, times } of attending) inside += times * cost.attention(item);
    return { cycles: cycles(inside), io, time: seconds(inside / clock + io) };
  };

  const sizes = microBatchSizes(prefillChunk);
  /**
   * Small micro-batches fill the pipeline, large ones share hops and task starts: the better one is taken.
   * @returns time from the first stage's start on the first micro-batch to the last stage's end on the last, with the
   * seconds of each micro-batch by kind of stage
   */
  const fastest = (items: readonly StepItem[]): { readonly time: Seconds; readonly batches: readonly number[][] } => {
    const tokens = items.reduce((sum, item) => sum + item.tokens, 0);
    const host = transfers.host(tokens, items.length);
    const whole = items.map(priced);
    // From the first size on that takes all, it is the same.
    const useful = sizes.slice(0, 1 + sizes.findIndex((size) => size >= tokens) || sizes.length);
    const tried = tokens > manyChunks * prefillChunk ? [prefillChunk] : useful;
    let best: { time: number; batches: number[][] } = { time: Infinity, batches: [] };
    for (const size of tried) {
      const batches = cutBatches(whole, size, priced).map(secondsOf);
      const time = pipelineTime(batches, counts) + host;
      if (time < best.time) best = { time, batches };
    }
    return { time: seconds(best.time), batches: best.batches };
  };
  const perStage = (byKind: readonly number[]): Float64Array => {
    const byStage = new Float64Array(kindOf.length);
    for (let stage = 0; stage < kindOf.length; stage++) byStage[stage] = byKind[kindOf[stage]];
    return byStage;
  };
  /** Seconds that a stage of each kind is busy with one token of one sequence. */
  let besideByKind: readonly number[] | undefined;
  const busyDecoding = (item: StepItem): readonly number[] => {
    besideByKind ??= secondsOf({ items: [], tokens: 1, logits: 1 });
    return besideByKind.map((beside, kind) =>
      kinds[kind].layers.reduce((sum, { cost, times }) => sum + (times * cost.attention(item)) / clock, beside),
    );
  };
  const busyAll = (batches: readonly (readonly number[])[]): readonly number[] =>
    kinds.map((_, kind) => batches.reduce((sum, times) => sum + times[kind], 0));

  /**
   * The last step of sequences that all decoded, by the attention of each. A context grows by as many tokens as a region
   * has rows before a PE sees one position more, so that most steps are timed like the one before.
   */
  let last: { readonly attention: readonly number[]; readonly timed: Timed } | undefined;
  const isLikeLast = (items: readonly StepItem[]): boolean => {
    if (last?.attention.length !== items.length * costs.length) return false;
    let at = 0;
    for (const item of items) {
      for (const cost of costs) if (last.attention[at++] !== cost.attention(item)) return false;
    }
    return true;
  };
  /** Stages are asked for after every step where somebody watches, and never where nobody does. */
  const timed = (time: Seconds, busyByKind: () => readonly number[]): Timed => {
    let byStage: Float64Array | undefined;
    return { time, busy: () => (byStage ??= perStage(busyByKind())) };
  };
  const stepOf = (items: readonly StepItem[]): Timed => {
    const decodes = items.every(({ tokens }) => tokens === 1);
    if (decodes && last !== undefined && isLikeLast(items)) return last.timed;
    const [item] = items;
    let step: Timed;
    if (items.length === 0) step = timed(seconds(0), () => busyAll([]));
    else if (items.length === 1 && decodes) step = timed(decode(item.cached).time, () => busyDecoding(item));
    else {
      const { time, batches } = fastest(items);
      step = timed(time, () => busyAll(batches));
    }
    if (decodes) last = { attention: items.flatMap((each) => costs.map((cost) => cost.attention(each))), timed: step };
    return step;
  };

  return {
    basis: basisOf(program, wafer, clock),
    clock,
    /** One token of one sequence with `cached` tokens behind it, logits included. */
    decode,
    /** Where the cycles of `decode` go. */
    breakdown(cached: number): Breakdown {
      const sum = emptyBreakdown();
      const item = { tokens: 1, cached };
      for (const kind of kinds) {
        const stage = emptyBreakdown();
        for (const { cost, times } of kind.layers) addTimes(stage, cost.step([item]), times);
        for (const end of [kind.embedding, kind.head]) if (end !== undefined) addTimes(stage, end.step([item]), 1);
        for (const phase of handOn(kind, 1)) price(phase, wafer, stage);
        addTimes(sum, stage, kind.count);
      }
      return sum;
    },
    /** Seconds that each stage is busy with one token of one sequence, handing it on included. */
    stageSeconds(cached: number): readonly number[] {
      return [...perStage(secondsOf(one(cached, 1)))];
    },
    /** A prompt in chunks that follow one another through the stages; only the last chunk makes logits. */
    prefill: (tokens: number): { readonly time: Seconds } => ({ time: stepOf([{ tokens, cached: 0 }]).time }),
    /** An engine step: its tokens in micro-batches that follow one another through the stages. */
    step(shape: { readonly items: readonly StepItem[] }): {
      readonly time: Seconds;
      readonly energy: Joules;
      readonly busy: () => Float64Array;
    } {
      const items = shape.items.filter((item) => item.tokens > 0);
      const { time, busy } = stepOf(items);
      return { time, energy: energy(scale(wafer.systemPower, wafers), time), busy };
    },
    /** Tokens per second of many sequences that each have `cached` tokens behind them. */
    throughput(cached: number): Throughput {
      const sequences = Math.max(1, Math.floor(kvTokensOf(program) / (cached + 1)));
      let best: Throughput | undefined;
      for (const together of sizes.filter((size) => size <= sequences)) {
        const item = priced({ tokens: 1, cached });
        const items = Array.from({ length: together }, () => item);
        const busy = secondsOf({ items, tokens: together, logits: together });
        const slowest = busy.reduce((most, s) => Math.max(most, s), 0);
        const latency = sumOverStages(busy) + transfers.host(together, together);
        const tokensPerSecond = Math.min(together / slowest, sequences / latency);
        if (best !== undefined && tokensPerSecond <= best.tokensPerSecond) continue;
        const used = (tokensPerSecond / together) * sumOverStages(busy);
        const slowestStage = kinds[busy.indexOf(slowest)].stage;
        const idle = 1 - used / stages.length;
        best = { tokensPerSecond, sequences, together, slowestStage, slowest: seconds(slowest), idle };
      }
      if (best === undefined) throw new Error('assertion failed: one sequence passes alone');
      return best;
    },
  };
}

export type AnalyticStepModel = ReturnType<typeof createStepModel>;

function basisOf({ stages }: Program, { name, caution }: Wafer, clock: Hertz): string {
  const wafers = wafersOf({ stages });
  const shapes = [
    ...new Set(stages.filter((s) => s.toLayer > s.fromLayer).map(({ region }) => `${region.width}x${region.height}`)),
  ];
  const regions = `${stages.length} region${stages.length === 1 ? '' : 's'}`;
  return (
    `simulated: closed form on ${name}, ${regions} on ${wafers} wafer${wafers === 1 ? '' : 's'}, ` +
    `${shapes.join(' and ')} PEs for layers, ${(clock / 1e9).toFixed(3)} GHz${caution === undefined ? '' : ` (${caution})`}`
  );
}

/** The kinds of stages, and which each is of. */
function stageKinds(
  program: Program,
  wafer: Wafer,
): { kinds: readonly StageKind[]; kindOf: readonly number[]; costs: readonly SectionCost[] } {
  const { graph, numerics, stages } = program;
  const costs = new Map<string, SectionCost>();
  const costOf = (ops: readonly Op[], { region, detours }: Stage): SectionCost => {
    const key = [region.width, region.height, detours?.x, detours?.y, sizesOf(ops)].join();
    let cost = costs.get(key);
    if (cost === undefined) costs.set(key, (cost = createSectionCost(ops, region, numerics, wafer, detours)));
    return cost;
  };
  const layerCosts: SectionCost[] = [];
  const indexOf = (cost: SectionCost): number =>
    layerCosts.includes(cost) ? layerCosts.indexOf(cost) : layerCosts.push(cost) - 1;
  const places = new Map<string, number>();
  const kinds: StageKind[] = [];
  const kindOf = stages.map((stage, i) => {
    const held = graph.layers.slice(stage.fromLayer, stage.toLayer);
    const { x, y, width, height } = stage.region;
    const next = stages.at(i + 1);
    const way =
      next === undefined
        ? []
        : next.wafer === stage.wafer
          ? [next.region.x - x, next.region.y - y, next.region.width, next.region.height]
          : ['to another wafer', x, next.region.x, next.region.width, next.region.height];
    const ends = [stage.hasEmbedding, stage.hasHead, stage.detours?.x, stage.detours?.y];
    const key = [width, height, ...ends, ...way, ...held.map(sizesOf).sort()].join();
    let place = places.get(key);
    if (place === undefined) {
      const times = new Map<SectionCost, number>();
      for (const ops of held) times.set(costOf(ops, stage), (times.get(costOf(ops, stage)) ?? 0) + 1);
      const kind = {
        stage: i,
        count: 0,
        layers: [...times].map(([cost, n]) => ({ cost, index: indexOf(cost), times: n })),
        ...(stage.hasEmbedding ? { embedding: costOf(graph.prologue, stage) } : {}),
        ...(stage.hasHead ? { head: costOf(graph.epilogue, stage) } : {}),
      };
      place = kinds.push(kind) - 1;
      places.set(key, place);
    }
    kinds[place] = { ...kinds[place], count: kinds[place].count + 1 };
    return place;
  });
  return { kinds, kindOf, costs: layerCosts };
}

const knownSizes = new WeakMap<readonly Op[], string>();

/** Equal for sections that cost the same: which names their weights have does not count. */
function sizesOf(ops: readonly Op[]): string {
  let text = knownSizes.get(ops);
  if (text === undefined) {
    text = ops
      .map((op) => [op.kind, 'bias' in op, ...Object.values(op).filter((v) => typeof v === 'number')].join())
      .join(';');
    knownSizes.set(ops, text);
  }
  return text;
}

/** Tokens of a micro-batch that are worth trying: powers of two up to the chunk, and the chunk. */
function microBatchSizes(chunk: number): number[] {
  const sizes: number[] = [];
  for (let size = 1; size < chunk; size *= 2) sizes.push(size);
  return [...sizes, chunk];
}

/** Items cut into micro-batches of at most `size` tokens, in order; the last piece of an item makes its logits. */
function cutBatches(items: readonly PricedItem[], size: number, priced: (item: StepItem) => PricedItem): MicroBatch[] {
  const batches: MicroBatch[] = [];
  if (items.every((item) => item.tokens === 1)) {
    for (let from = 0; from < items.length; from += size) {
      const together = items.slice(from, from + size);
      batches.push({ items: together, tokens: together.length, logits: together.length });
    }
    return batches;
  }
  let pieces: PricedItem[] = [];
  let [tokens, logits] = [0, 0];
  const close = (): void => {
    if (tokens > 0) batches.push({ items: pieces, tokens, logits });
    pieces = [];
    [tokens, logits] = [0, 0];
  };
  for (const item of items) {
    for (let done = 0; done < item.tokens; ) {
      const take = Math.min(size - tokens, item.tokens - done);
      pieces.push(take === item.tokens ? item : priced({ tokens: take, cached: item.cached + done }));
      tokens += take;
      done += take;
      if (done === item.tokens) logits++;
      if (tokens === size) close();
    }
  }
  close();
  return batches;
}

/**
 * Batches through stages in order: the longest way through the grid of (batch, stage), bounded from above by the sum
 * over stages of their slowest batch and, for each batch but one, its slowest stage. Exact where batches are alike.
 * @param seconds by batch and kind of stage
 * @param counts stages of each kind
 */
export function pipelineTime(seconds: readonly ArrayLike<number>[], counts: readonly number[]): number {
  const slowest = new Float64Array(counts.length);
  let following = 0;
  let largest = 0;
  for (const batch of seconds) {
    let most = 0;
    for (let kind = 0; kind < counts.length; kind++) {
      if (batch[kind] > slowest[kind]) slowest[kind] = batch[kind];
      if (batch[kind] > most) most = batch[kind];
    }
    following += most;
    if (most > largest) largest = most;
  }
  return slowest.reduce((sum, s, kind) => sum + counts[kind] * s, 0) + following - largest;
}
