// Rotary position embedding (Su et al. 2021, arXiv 2104.09864), half-split pairs as in Hugging Face checkpoints.

import type { RopeShape } from '../../spec/index.ts';
import type { OpDefinition } from './definition.ts';

/**
 * Radians per position of each pair (i, i + headDim / 2), i < headDim / 2, in float64.
 *
 * Plain: theta^(-2i / headDim). With `llama3` scaling, as in the Llama 3.1 release (`apply_scaling` in
 * `llama_models/llama3/model.py`): wavelengths longer than originalContext / lowFreqFactor are stretched by
 * `factor`, those shorter than originalContext / highFreqFactor are kept, and those between are interpolated
 * linearly in originalContext / wavelength.
 */
export function ropeInverseFrequencies(rope: RopeShape, headDim: number): Float64Array {
  const frequencies = Float64Array.from({ length: headDim / 2 }, (_, i) => rope.theta ** ((-2 * i) / headDim));
  const scaling = rope.scaling;
  if (scaling === undefined) return frequencies;
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
    const half = op.headDim / 2;
    const out = new Float32Array(x.length);
    for (let row = 0; row < step.tokens.length; row++) {
      for (let head = 0; head < op.heads; head++) {
        const from = (row * op.heads + head) * op.headDim;
        for (let i = 0; i < half; i++) {
          const angle = (step.start + row) * frequencies[i];
          const a = x[from + i];
          const b = x[from + i + half];
          out[from + i] = a * Math.cos(angle) - b * Math.sin(angle);
          out[from + i + half] = b * Math.cos(angle) + a * Math.sin(angle);
        }
      }
    }
    return out;
  },
};
