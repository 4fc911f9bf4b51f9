// Where a program's energy goes: idle power over time, and what its work adds. The split rests on assumptions, for no
// energy per operation is published; `HeatFacts` says which.

import { joules, type Joules, type Seconds } from '../../core/index.ts';
import type { Graph, Op } from '../../model/index.ts';
import type { HeatFacts, Wafer } from '../../spec/index.ts';
import { sectionWork, sumOfWork, type Program, type Stage, type Work } from '../../wafer/index.ts';
import { createSectionCost, kernelContext } from './section-cost.ts';
import { total } from './price.ts';

/** Joules of one decoded token, beyond idle power. */
export interface WorkEnergy {
  /** Vector instructions: their SRAM accesses and the arithmetic that these feed. */
  readonly elements: Joules;
  /** Wavelets on links and ramps. */
  readonly fabric: Joules;
}

/** What one stage adds for each token that passes it. */
export interface StageEnergy extends WorkEnergy {
  readonly stage: Stage;
  /** Cycles that the stage takes for a token: it cannot take tokens faster than this. */
  readonly cycles: number;
  /** Links that its wavelets cross. */
  readonly hops: number;
}

/** Payload, color and control bit. */
const WAVELET_BITS = 32 + 5 + 1;
/** A multiply-accumulate reads two operands and writes one. */
const ACCESSES_PER_ELEMENT = 3;

/**
 * Energy of a byte of SRAM traffic, with the arithmetic that it feeds: what a system draws at rated power beyond idle,
 * over the bytes that all PEs' ports move in a second. Rated power is then reached when all PEs do nothing else.
 */
export const joulesPerSramByte = (wafer: Wafer, heat: HeatFacts): number =>
  ((1 - heat.idleShare.value) * wafer.systemPower) /
  (wafer.programWidth * wafer.programHeight * wafer.clock * (wafer.sramReadPerCycle + wafer.sramWritePerCycle));

/** Joules of a piece of work. A ramp is taken as a link. */
export function workEnergy(work: Work, wafer: Wafer, heat: HeatFacts): WorkEnergy {
  const bytes = ACCESSES_PER_ELEMENT * (2 * work.elements.fp16 + 4 * work.elements.fp32);
  return {
    elements: joules(bytes * joulesPerSramByte(wafer, heat)),
    fabric: joules((work.hops + work.ramps) * WAVELET_BITS * heat.linkBit.value),
  };
}

/** The part of a graph that a stage runs. */
const sectionOf = (graph: Graph, stage: Stage): Graph => ({
  ...graph,
  prologue: stage.hasEmbedding ? graph.prologue : [],
  layers: graph.layers.slice(stage.fromLayer, stage.toLayer),
  epilogue: stage.hasHead ? graph.epilogue : [],
});

/** Each stage's energy and cycles for one token of a sequence with `cached` tokens behind it, logits included. */
export function stageEnergies(program: Program, wafer: Wafer, heat: HeatFacts, cached: number): StageEnergy[] {
  const { graph, numerics } = program;
  // Stages with equal regions and equal layers cost the same; layers repeat.
  const known = new Map<string, Omit<StageEnergy, 'stage'>>();
  return program.stages.map((stage) => {
    const { region } = stage;
    const part = sectionOf(graph, stage);
    const key = JSON.stringify([region.width, region.height, shapesOf([part.prologue, ...part.layers, part.epilogue])]);
    let found = known.get(key);
    if (found === undefined) {
      const sections = [part.prologue, ...part.layers, part.epilogue];
      const context = kernelContext(region, 1, cached, numerics);
      const work = sumOfWork(sections.map((ops) => [sectionWork(ops, 'y', context), 1] as const));
      const cycles = sections.reduce((sum, ops) => {
        const cost = createSectionCost(ops, region, numerics, wafer, stage.detours);
        return sum + total(cost.step([{ tokens: 1, cached }]));
      }, 0);
      found = { ...workEnergy(work, wafer, heat), cycles, hops: work.hops };
      known.set(key, found);
    }
    return { stage, ...found };
  });
}

/** The sizes of ops, which decide their work; names differ from layer to layer. */
const shapesOf = (sections: readonly (readonly Op[])[]): unknown =>
  sections.map((ops) => ops.map((op) => [op.kind, ...Object.values(op).filter((v) => typeof v !== 'string')]));

/**
 * Bytes that one token takes from wafer to wafer, in and out of the first and last included.
 * @param logits of how many tokens, for each that passes, the logits go out
 */
export const offWaferBytes = (program: Program, wafers: number, logits = 1): number => {
  const { hidden, vocab } = program.graph.shape;
  const valueBytes = program.numerics.activations === 'fp16' ? 2 : 4;
  return 4 + (wafers - 1) * hidden * valueBytes + logits * vocab * valueBytes;
};

/** Power and energy of a program that decodes at some rate. */
export interface PowerAt {
  readonly tokensPerSecond: number;
  /** Watts of all systems. */
  readonly idle: number;
  readonly elements: number;
  readonly fabric: number;
  readonly offWafer: number;
  readonly total: number;
  /** What the systems are rated for; a total above it cannot be: the clock would fall. */
  readonly rated: number;
  readonly joulesPerToken: Joules;
}

/** @param tokensPerSecond over all sequences */
export function powerAt(
  program: Program,
  stages: readonly StageEnergy[],
  wafers: number,
  tokensPerSecond: number,
  wafer: Wafer,
  heat: HeatFacts,
): PowerAt {
  const sum = (of: (energy: WorkEnergy) => number): number => stages.reduce((all, stage) => all + of(stage), 0);
  const idle = wafers * heat.idleShare.value * wafer.systemPower;
  const elements = tokensPerSecond * sum((s) => s.elements);
  const fabric = tokensPerSecond * sum((s) => s.fabric);
  const offWafer = tokensPerSecond * offWaferBytes(program, wafers) * 8 * heat.offWaferBit.value;
  const all = idle + elements + fabric + offWafer;
  return {
    tokensPerSecond,
    idle,
    elements,
    fabric,
    offWafer,
    total: all,
    rated: wafers * wafer.systemPower,
    joulesPerToken: joules(all / tokensPerSecond),
  };
}

/**
 * Tokens per second with `inFlight` sequences: a token of each passes all stages and the links between wafers, and a
 * stage takes one at a time.
 */
export function tokenRate(
  stages: readonly StageEnergy[],
  inFlight: number,
  latency: Seconds,
  clock: number,
): { readonly tokensPerSecond: number; readonly saturated: number } {
  const slowest = Math.max(...stages.map((s) => s.cycles)) / clock;
  const most = 1 / slowest;
  return { tokensPerSecond: Math.min(inFlight / latency, most), saturated: Math.ceil(latency * most) };
}
