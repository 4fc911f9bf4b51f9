import { clockOf, number, pair, shape, wafer } from './conditions.ts';
import { decodeLayerCycles } from './decode.ts';
import { prefillLayerCycles } from './prefill.ts';
import type { Predictor } from './predictor.ts';

/** Output tokens per second of a whole request: prefill on one mesh, decode on another. */
export const endToEnd: Predictor = {
  group: 'end-to-end',
  predict(row) {
    const target = wafer(row);
    const [prompt, output] = [number(row, 'promptTokens'), number(row, 'outputTokens')];
    const prefill = prefillLayerCycles(row, pair(row, 'prefillMesh').width, prompt, target);
    // The context grows while decoding: its mean stands for all tokens, since cost is nearly linear in it.
    const mean = prompt + output / 2;
    const decode = decodeLayerCycles(row, pair(row, 'decodeMesh'), target, mean);
    const cycles = (prefill + output * decode) * shape(row).layers;
    return { value: (output * clockOf(row, target)) / cycles, presumes: 'mean context; moving between meshes is free' };
  },
};
