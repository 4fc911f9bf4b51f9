// One token's way through a program, part by part: which region holds it when, and what the region does meanwhile.

import type { Op } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { allReduce, sectionPhases, type Phase, type Program, type Stage } from '../../wafer/index.ts';
import { price, total } from './price.ts';
import { kernelContext } from './section-cost.ts';
import type { AnalyticStepModel } from './step-model.ts';

/** A kernel, or a sum over a region that a kernel asks for. */
export interface PassagePart {
  readonly kind: 'kernel' | 'collective';
  /** Of the op, or of those that run as one. */
  readonly op: string;
  readonly seconds: number;
}

/** A stage while the token is in it, handing it on included. */
export interface PassageStage {
  readonly seconds: number;
  /** What its first section (a layer, where it has one) consists of, in order; the others are like it. */
  readonly parts: readonly PassagePart[];
}

/** The section that stands for a stage. */
function sectionOf({ graph }: Program, stage: Stage): readonly Op[] {
  if (stage.toLayer > stage.fromLayer) return graph.layers[stage.fromLayer];
  return stage.hasEmbedding ? graph.prologue : graph.epilogue;
}

/** @param cached tokens behind the one that passes alone */
export function passageOf(
  program: Program,
  wafer: Wafer,
  steps: Pick<AnalyticStepModel, 'stageSeconds' | 'clock'>,
  cached: number,
): PassageStage[] {
  const times = steps.stageSeconds(cached);
  return program.stages.map((stage, s) => {
    const collectives = new Set<Phase>();
    const context = kernelContext(stage.region, 1, cached, program.numerics, stage.detours);
    const sum = context.allReduce ?? allReduce;
    const marked: typeof context = {
      ...context,
      allReduce(line) {
        const phases = sum(line);
        for (const phase of phases) collectives.add(phase);
        return phases;
      },
    };
    const parts: PassagePart[] = [];
    for (const { op, phases } of sectionPhases(sectionOf(program, stage), 'y', marked)) {
      for (const phase of phases) {
        const kind = collectives.has(phase) ? 'collective' : 'kernel';
        const time = total(price(phase, wafer)) / steps.clock;
        const last = parts.at(-1);
        if (last?.op === op && last.kind === kind) parts[parts.length - 1] = { ...last, seconds: last.seconds + time };
        else parts.push({ kind, op, seconds: time });
      }
    }
    return { seconds: times[s], parts };
  });
}
