// Rotary position embedding (Su et al. 2021, arXiv 2104.09864), half-split pairs as in Hugging Face checkpoints.

import type { Llama3Scaling, RopeShape, YarnScaling } from '../../spec/index.ts';
import type { OpDefinition } from './definition.ts';

/** Radians per position of each pair (i, i + headDim / 2), i < headDim / 2, in float64: theta^(-2i / headDim), scaled. */
export function ropeInverseFrequencies(rope: RopeShape, headDim: number): Float64Array {
  const frequencies = Float64Array.from({ length: headDim / 2 }, (_, i) => rope.theta ** ((-2 * i) / headDim));
  switch (rope.scaling?.kind) {
    case undefined:
      return frequencies;
    case 'llama3':
      return scaleLlama3(frequencies, rope.scaling);
    case 'yarn':
      return scaleYarn(frequencies, rope.scaling, rope.theta);
  }
}

/** What cosines and sines are multiplied by. */
export const ropeMagnitude = ({ scaling }: RopeShape): number =>
  scaling?.kind === 'yarn' ? scaling.attentionFactor : 1;

/**
 * As in the Llama 3.1 release (`apply_scaling` in `llama_models/llama3/model.py`): wavelengths longer than
 * originalContext / lowFreqFactor are stretched by `factor`, those shorter than originalContext / highFreqFactor are
 * kept, and those between are interpolated linearly in originalContext / wavelength.
 */
function scaleLlama3(frequencies: Float64Array, scaling: Llama3Scaling): Float64Array {
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
  return frequencies.map((frequency) => {
    /** How often the pair turns within the original context. */
    const turns = (originalContext * frequency) / (2 * Math.PI);
    if (turns < lowFreqFactor) return frequency / factor;
    if (turns > highFreqFactor) return frequency;
    const keep = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return ((1 - keep) * frequency) / factor + keep * frequency;
  });
}

/**
 * YaRN's "NTK-by-parts" (arXiv 2309.00071, section 3.2), as transformers and llama.cpp compute it: the pair that turns
 * `beta` times in the original context has the index below, and between the indices of the two betas what is kept of a
 * frequency falls linearly.
 */
function scaleYarn(frequencies: Float64Array, scaling: YarnScaling, theta: number): Float64Array {
  const { factor, originalContext, betaFast, betaSlow, truncate } = scaling;
  const headDim = 2 * frequencies.length;
  const indexOf = (beta: number): number =>
    (headDim * Math.log(originalContext / (beta * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(0, truncate ? Math.floor(indexOf(betaFast)) : indexOf(betaFast));
  const high = Math.min(headDim - 1, truncate ? Math.ceil(indexOf(betaSlow)) : indexOf(betaSlow));
  // As there: bounds that meet are kept apart.
  const width = Math.max(0.001, high - low);
  return frequencies.map((frequency, i) => {
    const divided = Math.min(1, Math.max(0, (i - low) / width));
    return (frequency / factor) * divided + frequency * (1 - divided);
  });
}

export const rope: OpDefinition<'rope'> = {
  inputs: (op) => [{ name: op.input, width: op.heads * op.headDim }],
  width: (op) => op.heads * op.headDim,
  // Four multiplications and two additions per pair.
  flops: (op, tokens) => tokens * op.heads * op.headDim * 3,
  weights: () => [],
  weightElements: () => 0,
  evaluate(op, step) {
    const x = step.value(op.input);
    const frequencies = ropeInverseFrequencies(op.rope, op.headDim);
    const magnitude = ropeMagnitude(op.rope);
    const half = op.headDim / 2;
    const out = new Float32Array(x.length);
    for (let row = 0; row < step.tokens.length; row++) {
      for (let head = 0; head < op.heads; head++) {
        const from = (row * op.heads + head) * op.headDim;
        for (let i = 0; i < half; i++) {
          const angle = (step.start + row) * frequencies[i];
          const cos = magnitude * Math.cos(angle);
          const sin = magnitude * Math.sin(angle);
          const a = x[from + i];
          const b = x[from + i + half];
          out[from + i] = a * cos - b * sin;
          out[from + i + half] = b * cos + a * sin;
        }
      }
    }
    return out;
  },
};
