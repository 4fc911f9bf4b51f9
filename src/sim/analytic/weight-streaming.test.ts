import { describe, expect, it } from 'vitest';
import { cluster, findLlm, findWafer, resolveWafer } from '../../spec/index.ts';
import { layerCycles, overOf, streamedDecode, trainingStep } from './weight-streaming.ts';

const wafer = resolveWafer(findWafer('wse3'));
const { shape, parameters } = findLlm('llama-3.1-8b');
const model = { shape, parameters: parameters.value, type: 'fp16' } as const;
const train = (sequences: number, systems = 1, length = 2048) =>
  trainingStep({ ...model, systems, sequences, length }, wafer, cluster);

describe('decoding with streamed weights', () => {
  it('gives about 9 tokens/s to one user of an 8B model at 150 GB/s: why no service does it', () => {
    const { tokensPerSecondPerUser } = streamedDecode(model, wafer, cluster);
    expect(tokensPerSecondPerUser).toBeCloseTo(150e9 / (2 * model.parameters), 2);
    expect(tokensPerSecondPerUser).toBeGreaterThan(9);
    expect(tokensPerSecondPerUser).toBeLessThan(9.5);
  });
});

describe('a step of training', () => {
  it('is never shorter than its transfers, nor than its compute', () => {
    for (const sequences of [1, 2, 4, 8]) {
      const step = train(sequences);
      if (step === undefined) throw new Error('fits');
      // Weights in twice; gradients go out the other way, but for those of the last layer.
      expect(step.step).toBeGreaterThan(2 * shape.layers * step.layerTransfer);
      expect(step.step).toBeGreaterThan((1 + step.backwardWork) * shape.layers * step.layerCompute);
      expect(step.waiting).toBeGreaterThanOrEqual(0);
      expect(step.waiting).toBeLessThan(1);
    }
  });

  it('waits less the more tokens share a transfer, and computes as long as it waits at the stated balance', () => {
    const few = train(1);
    const more = train(4);
    if (few === undefined || more === undefined) throw new Error('fits');
    expect(more.waiting).toBeLessThan(few.waiting);
    const at = few.balance / 2048;
    const seconds = (sequences: number): number => layerCycles(shape, sequences, 2048, 'fp16', wafer) / wafer.clock;
    expect(seconds(at)).toBeGreaterThanOrEqual(few.layerTransfer);
    if (at > 1) expect(seconds(at - 1)).toBeLessThan(few.layerTransfer);
  });

  it('is as long on many systems as on one: all get the same weights', () => {
    expect(train(2, 16)?.step).toBe(train(2, 1)?.step);
    expect(train(2, 16)?.tokensPerSecond).toBeCloseTo(16 * (train(2, 1)?.tokensPerSecond ?? NaN), 6);
  });

  it('takes weights matrix by matrix where two layers do not fit, at the same pace', () => {
    const large = findLlm('llama-3.1-405b');
    const run = {
      shape: large.shape,
      parameters: large.parameters.value,
      type: 'fp16',
      systems: 1,
      sequences: 1,
    } as const;
    const step = trainingStep({ ...run, length: 2048 }, wafer, cluster);
    // The largest matrices are those of the MLP.
    expect(step?.memory).toMatchObject({ streamed: 'matrices', weights: 2 * 16_384 * 53_248 * 2 });
    expect(step?.layerTransfer).toBeCloseTo(((large.parameters.value / 126) * 2) / 150e9, 3);
    expect(train(1)?.memory.streamed).toBe('layers');
  });

  it('recomputes where activations do not fit, and is refused where even that does not', () => {
    const results = Array.from({ length: 64 }, (_, i) => train(i + 1));
    const first = results.findIndex((step) => step?.recompute === true);
    const last = results.findIndex((step) => step === undefined);
    expect(first).toBeGreaterThan(0);
    expect(last).toBeGreaterThan(first);
    expect(results.slice(last).every((step) => step === undefined)).toBe(true);
    for (const step of results.slice(0, last))
      if (step !== undefined) expect(overOf(step.memory)).toBeLessThanOrEqual(0);
    expect(results[first]?.backwardWork).toBe(3);
  });
});
