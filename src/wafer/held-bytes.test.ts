import { describe, expect, it } from 'vitest';
import { graphOf, parameterCount } from '../model/index.ts';
import { findLlm, llms } from '../spec/index.ts';
import { heldBytes } from './held-bytes.ts';

describe('the size of a model', () => {
  it('is four bytes a parameter where all is fp32', () => {
    for (const id of Object.keys(llms)) {
      const { shape } = findLlm(id);
      expect(heldBytes(graphOf(shape), { weights: 'f32', activations: 'fp32', kv: 'fp32' })).toBe(
        4 * parameterCount(shape),
      );
    }
  });
  it('counts scales: half a byte a weight, and two bytes for 32 of them', () => {
    const { shape } = findLlm('llama-3.1-8b');
    const graph = graphOf(shape);
    const f16 = { weights: 'f16', activations: 'fp16', kv: 'fp16' } as const;
    const matrices = parameterCount(shape) - shape.vocab * shape.hidden - (2 * shape.layers + 1) * shape.hidden;
    const saved = heldBytes(graph, f16) - heldBytes(graph, { ...f16, weights: 'int4-32' });
    expect(saved).toBe(matrices * (2 - 0.5 - 2 / 32));
  });
});
