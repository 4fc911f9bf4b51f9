import { describe, expect, it } from 'vitest';
import { IngotError } from '../../core/index.ts';
import { findLlm, llms } from './index.ts';

describe.each(Object.entries(llms))('%s', (id, { id: ownId, name, shape, source, parameters }) => {
  it('is registered under its id, with a source', () => {
    expect(ownId).toBe(id);
    expect(id).toBe(id.toLowerCase());
    for (const text of [name, source, parameters.unit, parameters.basis, parameters.source]) {
      expect(text.trim()).not.toBe('');
    }
  });

  it('says of its parameter count that it is exact, or to what it is rounded', () => {
    expect(parameters.basis).toMatch(/^(exact|rounded to the nearest [\d,]+);/);
    const to = /nearest ([\d,]+)/.exec(parameters.basis)?.[1].replaceAll(',', '');
    if (to !== undefined) expect(parameters.value % Number(to)).toBe(0);
  });

  it('has whole positive sizes, and heads that share keys and values evenly', () => {
    const { attention, mlp } = shape;
    const optional = ['slidingWindow', 'fullAttentionEvery', 'scoreFactor'];
    for (const part of [shape, attention]) {
      for (const [key, value] of Object.entries(part)) {
        if (typeof value !== 'number' || key === 'normEps' || optional.includes(key)) continue;
        expect(Number.isInteger(value) && value > 0, key).toBe(true);
      }
    }
    if (attention.kind === 'gqa') {
      expect(attention.heads % attention.kvHeads).toBe(0);
      expect(attention.headDim % 2).toBe(0);
      if (attention.fullAttentionEvery !== undefined) expect(attention.slidingWindow).toBeGreaterThan(0);
    }
    if (mlp.kind === 'moe') {
      expect(mlp.activeExperts).toBeLessThan(mlp.experts);
      expect(mlp.denseLayers).toBeLessThan(shape.layers);
      expect(mlp.denseFfn > 0).toBe(mlp.denseLayers > 0);
      expect(mlp.sharedFfn > 0).toBe(mlp.sharedExperts > 0);
    }
  });
});

describe('findLlm', () => {
  it('finds by id', () => expect(findLlm('mistral-7b').name).toBe('Mistral-7B v0.1'));

  it.each([
    ['LLaMA3-8B', 'Did you mean "llama-3.1-8b"?'],
    ['qwen3-32', 'Did you mean "qwen3-32b"?'],
    ['a-model-of-another-kind', 'Choose a language model of the list.'],
  ])('refuses %s', (id, suggestion) => {
    try {
      findLlm(id);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(IngotError);
      expect((error as IngotError).code).toBe('LLM_UNKNOWN');
      const [diagnostic] = (error as IngotError).diagnostics;
      expect(diagnostic.suggestion).toBe(suggestion);
      expect(diagnostic.expected).toContain('gpt-oss-120b');
    }
  });
});
