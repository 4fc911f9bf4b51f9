import { hertz } from '../../core/index.ts';
import { compile } from '../../compiler/index.ts';
import { graphOf } from '../../model/index.ts';
import { createCostModel, createStepModel, total } from '../../sim/index.ts';
import type { Numerics } from '../../wafer/index.ts';
import { clockOf, countOr, is, shape, text, wafer } from './conditions.ts';
import type { Predictor } from './predictor.ts';

const fp16: Numerics = { weights: 'f16', activations: 'fp16', kv: 'fp16' };

/** Tokens per second of one user of a service, no speculation, on as many wafers as the model needs. */
export const service: Predictor = {
  group: 'service',
  reads: ['machine', 'model', 'dtype', 'wafers', 'context', 'clockGHz'],
  predict(row) {
    const target = wafer(row);
    if (!row.unit.startsWith('tokens/s') || !is(row, 'dtype', /^fp16$/)) return undefined;
    const context = countOr(row, 'context', 2048);
    const clock = hertz(clockOf(row, target));
    const graph = graphOf(shape(row));
    const cost = (mesh: { width: number; height: number }): number =>
      total(createCostModel(graph, mesh, 'fp16', target).layer(1, context));
    const program = compile({
      model: text(row, 'model'),
      graph,
      wafer: target,
      numerics: fp16,
      kvTokens: Math.max(8192, context),
      cost,
    });
    const { time } = createStepModel(program, target, clock).decode(context);
    const { width, height } = program.stages[0].region;
    const wafers = countOr(row, 'wafers', program.stages.length);
    const stated =
      wafers === program.stages.length ? '' : `; the row says ${wafers} wafer(s), on which Ingot does not fit it`;
    const presumes = `${program.stages.length} wafer(s), ${width}x${height} PEs each, ${(clock / 1e9).toFixed(3)} GHz, ${context} cached${stated}`;
    return { value: 1 / time, presumes };
  },
};
