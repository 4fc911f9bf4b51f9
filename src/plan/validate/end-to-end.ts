import { clockOf, count, shape, side, wafer } from './conditions.ts';
import { decodeLayerCycles } from './decode.ts';
import { prefillLayerCycles } from './prefill.ts';
import type { Predictor } from './predictor.ts';

/** Output tokens per second of a whole request: prefill on one mesh, decode on another. */
export const endToEnd: Predictor = {
  group: 'end-to-end',
  reads: [
    'machine',
    'model',
    'promptTokens',
    'outputTokens',
    'prefillMesh',
    'decodeMesh',
    'dtype',
    'groups',
    'clockGHz',
  ],
  answers: 'output tokens/s of a request with prefillMesh and decodeMesh',
  predict(row) {
    const target = wafer(row);
    if (!row.unit.startsWith('tokens/s')) return undefined;
    const [prompt, output] = [count(row, 'promptTokens'), count(row, 'outputTokens')];
    const prefill = prefillLayerCycles(row, side(row, 'prefillMesh'), prompt, target);
    // The context grows while decoding: its mean stands for all tokens, since cost is nearly linear in it.
    const decodeSide = side(row, 'decodeMesh');
    const mean = prompt + output / 2;
    const decode = decodeLayerCycles(row, { width: decodeSide, height: decodeSide }, target, mean);
    const cycles = (prefill + output * decode) * shape(row).layers;
    return { value: (output * clockOf(row, target)) / cycles, presumes: 'mean context; moving between meshes is free' };
  },
};
