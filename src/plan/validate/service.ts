import { compile } from '../../compiler/index.ts';
import { graphOf } from '../../model/index.ts';
import { createCostModel, createStepModel, total } from '../../sim/index.ts';
import type { Numerics } from '../../wafer/index.ts';
import { shape, text, wafer } from './conditions.ts';
import type { Predictor } from './predictor.ts';

const fp16: Numerics = { weights: 'f16', activations: 'fp16', kv: 'fp16' };
const context = 2048;

/** Tokens per second of one user of a service, no speculation, on as many wafers as the model needs. */
export const service: Predictor = {
  group: 'service',
  predict(row) {
    const target = wafer(row);
    const graph = graphOf(shape(row));
    const cost = (mesh: { width: number; height: number }): number =>
      total(createCostModel(graph, mesh, 'fp16', target).layer(1, context));
    const program = compile({ model: text(row, 'model'), graph, wafer: target, numerics: fp16, kvTokens: 8192, cost });
    const { time } = createStepModel(program, target).decode(context);
    const { width, height } = program.mesh;
    const presumes = `${program.stages.length} wafer(s), ${width}x${height} PEs each, ${(target.clock / 1e9).toFixed(3)} GHz, ${context} cached`;
    return { value: 1 / time, presumes };
  },
};
