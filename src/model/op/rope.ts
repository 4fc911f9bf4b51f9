// Rotary position embedding (Su et al. 2021, arXiv 2104.09864), half-split pairs as in Hugging Face checkpoints, or neighbours as in the paper.

import { assert } from '../../core/index.ts';
import type { Llama3Scaling, RopeShape, YarnScaling } from '../../spec/index.ts';
import type { RopeOp } from '../graph.ts';
import type { OpDefinition } from './definition.ts';

/** Radians per position of each of `width` / 2 pairs, in float64: theta^(-2i / width), scaled. */
export function ropeInverseFrequencies(rope: RopeShape, width: number): Float64Array {
  const frequencies = Float64Array.from({ length: width / 2 }, (_, i) => rope.theta ** ((-2 * i) / width));
  switch (rope.scaling?.kind) {
    case undefined:
      return frequencies;
    case 'llama3':
      return scaleLlama3(frequencies, rope.scaling);
    case 'yarn':
      return scaleYarn(frequencies, rope.scaling, rope.theta);
    case 'longrope': {
      const { divisors } = rope.scaling;
      assert(divisors.length === frequencies.length, 'longrope has a divisor for each pair');
      return frequencies.map((frequency, i) => frequency / divisors[i]);
    }
  }
}

/** What cosines and sines are multiplied by. */
export const ropeMagnitude = ({ scaling }: RopeShape): number =>
  scaling === undefined || scaling.kind === 'llama3' ? 1 : scaling.attentionFactor;

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

/** The part of each head that is rotated, and where in it a pair lies. */
export interface RopePart {
  readonly from: number;
  readonly width: number;
  pair(i: number): readonly [number, number];
}

export function ropePart(op: RopeOp): RopePart {
  const { from, width } = op.part ?? { from: 0, width: op.headDim };
  const half = width / 2;
  return { from, width, pair: op.neighbours === true ? (i) => [2 * i, 2 * i + 1] : (i) => [i, i + half] };
}

export const rope: OpDefinition<'rope'> = {
  inputs: (op) => [{ name: op.input, width: op.heads * op.headDim }],
  width: (op) => op.heads * op.headDim,
  // Four multiplications and two additions per pair.
  flops: (op, tokens) => tokens * op.heads * ropePart(op).width * 3,
  weights: () => [],
  weightElements: () => 0,
  evaluate(op, step) {
    const x = step.value(op.input);
    const part = ropePart(op);
    const frequencies = ropeInverseFrequencies(op.rope, part.width);
    const magnitude = ropeMagnitude(op.rope);
    const out = x.slice();
    for (let row = 0; row < step.tokens.length; row++) {
      for (let head = 0; head < op.heads; head++) {
        const start = (row * op.heads + head) * op.headDim + part.from;
        for (let i = 0; i < frequencies.length; i++) {
          const [first, second] = part.pair(i);
          const angle = (step.start + row) * frequencies[i];
          const cos = magnitude * Math.cos(angle);
          const sin = magnitude * Math.sin(angle);
          const a = x[start + first];
          const b = x[start + second];
          out[start + first] = a * cos - b * sin;
          out[start + second] = b * cos + a * sin;
        }
      }
    }
    return out;
  },
};
