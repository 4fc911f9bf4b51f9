// Cycles of a placed program in closed form: per layer, per token, per prompt. Everything in cycles until the
// last line, where the clock and the links between wafers turn them into seconds.

import { add, cycles, cyclesToSeconds, energy, seconds } from '../../core/index.ts';
import type { Cycles, Hertz, Joules, Seconds } from '../../core/index.ts';
import type { Graph, Op } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { expVectors, groupSize, sectionPhases } from '../../wafer/index.ts';
import type { KernelContext, OpPhases, Program, VectorType } from '../../wafer/index.ts';
import { emptyBreakdown, priceAll, total } from './price.ts';
import type { Breakdown } from './price.ts';

/** One forward step of a program for one sequence. */
export interface StepCost {
  readonly cycles: Cycles;
  readonly breakdown: Breakdown;
  /** Time between wafers and to the host: link latency and transfer. */
  readonly io: Seconds;
  readonly time: Seconds;
}

export interface MeshShape {
  readonly width: number;
  readonly height: number;
}

export function kernelContext(mesh: MeshShape, tokens: number, cached: number, type: VectorType): KernelContext {
  return { ...mesh, tokens, cached, type, group: groupSize, expVectors };
}

/** Sections of the graph that differ, with how often each occurs, so that equal layers are priced once. */
interface Section {
  readonly ops: readonly Op[];
  readonly times: number;
}

function layerSections(graph: Graph): Section[] {
  const sections = new Map<string, { ops: readonly Op[]; times: number }>();
  for (const ops of graph.layers) {
    const key = ops
      .map((op) => [op.kind, ...Object.values(op).filter((v) => typeof v === 'number')].join(','))
      .join(';');
    const section = sections.get(key);
    if (section === undefined) sections.set(key, { ops, times: 1 });
    else section.times++;
  }
  return [...sections.values()];
}

const addTimes = (into: Breakdown, what: Breakdown, times: number): void => {
  for (const key of Object.keys(into) as (keyof Breakdown)[]) into[key] += what[key] * times;
};

/** Prices steps of a graph on a mesh; sections are found once. */
export function createCostModel(graph: Graph, mesh: MeshShape, type: VectorType, wafer: Wafer) {
  const sections = layerSections(graph);
  const split = (ops: readonly OpPhases[], attention: ReadonlySet<string>): [OpPhases[], OpPhases[]] => [
    ops.filter(({ op }) => !attention.has(op)),
    ops.filter(({ op }) => attention.has(op)),
  ];
  const attentionOps = (ops: readonly Op[]): ReadonlySet<string> =>
    new Set(ops.filter((op) => op.kind === 'attention').map((op) => op.out));

  return {
    /** One decoder layer (the first), for comparison with measurements of a layer. */
    layer(tokens: number, cached: number): Breakdown {
      return priceAll(sectionPhases(sections[0].ops, 'y', kernelContext(mesh, tokens, cached, type)), wafer);
    },
    /**
     * A forward step over sequences that each process `tokens` new ones with `cached` behind them. Matrices
     * take all tokens of the step together; attention takes the sequences one after another.
     * @param logits how many tokens want logits
     */
    step(items: readonly { readonly tokens: number; readonly cached: number }[], logits: number): Breakdown {
      const sum = emptyBreakdown();
      const tokens = items.reduce((n, item) => n + item.tokens, 0);
      const together = kernelContext(mesh, tokens, 0, type);
      addTimes(sum, priceAll(sectionPhases(graph.prologue, 'y', together), wafer), 1);
      for (const { ops, times } of sections) {
        const names = attentionOps(ops);
        const [matrices] = split(sectionPhases(ops, 'y', together), names);
        addTimes(sum, priceAll(matrices, wafer), times);
        for (const item of items) {
          const alone = kernelContext(mesh, item.tokens, item.cached, type);
          const [, attention] = split(sectionPhases(ops, 'y', alone), names);
          addTimes(sum, priceAll(attention, wafer), times);
        }
      }
      if (logits > 0) {
        addTimes(sum, priceAll(sectionPhases(graph.epilogue, 'y', kernelContext(mesh, logits, 0, type)), wafer), 1);
      }
      return sum;
    },
  };
}

/** Simulated cost of a program's steps: cycles at a clock, links between wafers, energy at the rated power. */
export function createStepModel(program: Program, wafer: Wafer, clock: Hertz = wafer.clock) {
  const { graph, numerics, prefillChunk, stages } = program;
  const mesh = stages[0].region;
  const model = createCostModel(graph, mesh, numerics.activations, wafer);
  const wafers = program.stages.length;
  const valueBytes = numerics.activations === 'fp16' ? 2 : 4;

  /** Token ids in, activations between wafers, logits out: one link latency each, and the bytes. */
  const io = (tokens: number, logits: number): Seconds => {
    const between =
      (wafers - 1) * (wafer.ioLatency + (tokens * graph.shape.hidden * valueBytes) / wafer.ioPerDirection);
    const ids = wafer.ioLatency + (tokens * 4) / wafer.ioPerDirection;
    const out = logits === 0 ? 0 : wafer.ioLatency + (logits * graph.shape.vocab * valueBytes) / wafer.ioPerDirection;
    return seconds(between + ids + out);
  };

  const cost = (items: readonly { readonly tokens: number; readonly cached: number }[], logits: number): StepCost => {
    const breakdown = model.step(items, logits);
    const tokens = items.reduce((n, item) => n + item.tokens, 0);
    const outside = io(tokens, logits);
    const inside = total(breakdown);
    return { cycles: inside, breakdown, io: outside, time: add(cyclesToSeconds(inside, clock), outside) };
  };

  return {
    basis: `simulated: closed form on ${wafer.name}, ${mesh.width}x${mesh.height} PEs on each of ${wafers} wafer${wafers === 1 ? '' : 's'}, ${(clock / 1e9).toFixed(3)} GHz`,
    clock,
    /** One token of one sequence with `cached` tokens behind it, logits included. */
    decode: (cached: number): StepCost => cost([{ tokens: 1, cached }], 1),
    /** A prompt in chunks; only the last chunk makes logits. */
    prefill(tokens: number): { readonly cycles: Cycles; readonly time: Seconds } {
      const parts: StepCost[] = [];
      for (let done = 0; done < tokens; done += prefillChunk) {
        const chunk = Math.min(prefillChunk, tokens - done);
        parts.push(cost([{ tokens: chunk, cached: done }], done + chunk === tokens ? 1 : 0));
      }
      return {
        cycles: add(cycles(0), ...parts.map((p) => p.cycles)),
        time: add(seconds(0), ...parts.map((p) => p.time)),
      };
    },
    /** An engine step; items longer than a chunk run in several. */
    step(shape: { readonly items: readonly { readonly tokens: number; readonly cached: number }[] }): {
      readonly time: Seconds;
      readonly energy: Joules;
    } {
      let time = seconds(0);
      let items = shape.items.filter((item) => item.tokens > 0);
      while (items.length > 0) {
        const now = items.map((item) => ({ tokens: Math.min(item.tokens, prefillChunk), cached: item.cached }));
        time = add(time, cost(now, now.length).time);
        items = items
          .map((item, i) => ({ tokens: item.tokens - now[i].tokens, cached: item.cached + now[i].tokens }))
          .filter((item) => item.tokens > 0);
      }
      return { time, energy: energy((wafer.systemPower * wafers) as typeof wafer.systemPower, time) };
    },
  };
}

export type AnalyticStepModel = ReturnType<typeof createStepModel>;
