// GGUF keeps llama3 rope scaling as a table of divisors, one for each pair of a head, without the four numbers it was
// made from. They are recovered here, and hold only if they give the table again.

import { fail } from '../../core/index.ts';
import type { Llama3Scaling } from '../../spec/index.ts';
import { ropeInverseFrequencies } from '../op/rope.ts';

/** Divisors are float32 and parameters come out of differences of them: a table of another kind is off by far more. */
const RELATIVE_TOLERANCE = 1e-5;
/** In every published use, Llama 3.1 to 3.3 (config.json: low_freq_factor, high_freq_factor). */
const PUBLISHED_LOW = 1;
const PUBLISHED_HIGH = 4;
/** Original context of Llama 3.1 to 3.3: stands in where no frequency lies between the two bounds. */
const PUBLISHED_CONTEXT = 8_192;

/**
 * The llama3 scaling that divides the inverse frequencies of `theta` by `divisors`; undefined where all are 1.
 *
 * Scaled by one number, lowFreqFactor, highFreqFactor and originalContext mean the same rope, so lowFreqFactor is
 * taken as 1. The largest divisor is the factor. Between the bounds, keep = (1 / divisor − 1 / factor) / (1 − 1 / factor)
 * is linear in the frequency f (turns per token): (originalContext · f − low) / (high − low).
 * @throws IngotError GGUF_ROPE_UNSUPPORTED where no such scaling gives these divisors
 */
export function llama3Scaling(theta: number, divisors: Float32Array, where: string): Llama3Scaling | undefined {
  const headDim = 2 * divisors.length;
  if (divisors.every((divisor) => divisor === 1)) return undefined;
  const factor = divisors.reduce((a, b) => Math.max(a, b), 0);
  const frequencies = ropeInverseFrequencies({ theta }, headDim).map((radians) => radians / (2 * Math.PI));
  const between = [...divisors].flatMap((divisor, i) => {
    if (!(divisor > 1 && divisor < factor * (1 - RELATIVE_TOLERANCE))) return [];
    return [{ f: frequencies[i], keep: (1 / divisor - 1 / factor) / (1 - 1 / factor) }];
  });

  const candidates: { readonly high: number; readonly context: number }[] = [];
  const [first, last] = [between[0], between.at(-1)];
  if (first !== undefined && last !== undefined) {
    if (between.length > 1) {
      // keep = slope · f − offset, with slope = context / (high − 1) and offset = 1 / (high − 1).
      const slope = (first.keep - last.keep) / (first.f - last.f);
      const width = 1 / (slope * first.f - first.keep);
      candidates.push({ high: PUBLISHED_LOW + width, context: slope * width });
    }
    const width = PUBLISHED_HIGH - PUBLISHED_LOW;
    candidates.push({ high: PUBLISHED_HIGH, context: (first.keep * width + PUBLISHED_LOW) / first.f });
  }
  candidates.push({ high: PUBLISHED_HIGH, context: PUBLISHED_CONTEXT });

  for (const { high, context } of candidates) {
    const exact: Llama3Scaling = {
      kind: 'llama3',
      factor,
      lowFreqFactor: PUBLISHED_LOW,
      highFreqFactor: high,
      originalContext: context,
    };
    const whole = { ...exact, highFreqFactor: rounded(high), originalContext: rounded(context) };
    for (const scaling of [whole, exact]) if (gives(scaling, theta, divisors)) return scaling;
  }
  return fail({
    code: 'GGUF_ROPE_UNSUPPORTED',
    message: 'the divisors of the rotary frequencies are not those of llama3 scaling',
    where,
    expected: '1 for short wavelengths, one factor for long ones, and between them the interpolation of Llama 3.1',
    found: `${divisors.length} divisors: ${divisors.slice(0, 4).join(', ')}, …, ${divisors.at(-1)}`,
    suggestion: 'use a checkpoint without this scaling; ignoring it would change what the model computes',
  });
}

/** The whole number that a measured parameter is meant to be, if it is near one. */
function rounded(value: number): number {
  const whole = Math.round(value);
  return whole > 0 && Math.abs(value / whole - 1) < 1e-3 ? whole : value;
}

function gives(scaling: Llama3Scaling, theta: number, divisors: Float32Array): boolean {
  const { factor, highFreqFactor, originalContext } = scaling;
  if (!(factor > 1 && highFreqFactor > PUBLISHED_LOW && originalContext > 0 && Number.isFinite(originalContext))) {
    return false;
  }
  const headDim = 2 * divisors.length;
  const plain = ropeInverseFrequencies({ theta }, headDim);
  const scaled = ropeInverseFrequencies({ theta, scaling }, headDim);
  return divisors.every((divisor, i) => Math.abs(plain[i] / scaled[i] / divisor - 1) < RELATIVE_TOLERANCE);
}
