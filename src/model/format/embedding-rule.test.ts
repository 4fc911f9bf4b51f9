import { describe, expect, it } from 'vitest';
import { embeddingOfGguf, readEmbedding } from './embedding-rule.ts';

const transformer = { idx: 0, name: '0', path: '', type: 'sentence_transformers.models.Transformer' };
const pooling = { idx: 1, name: '1', path: '1_Pooling', type: 'sentence_transformers.models.Pooling' };
const normalize = { idx: 2, name: '2', path: '2_Normalize', type: 'sentence_transformers.models.Normalize' };
/** As sentence-transformers writes it. */
const modes = (mode: string): object => ({
  word_embedding_dimension: 8,
  pooling_mode_cls_token: mode === 'cls_token',
  pooling_mode_mean_tokens: mode === 'mean_tokens',
  pooling_mode_lasttoken: mode === 'lasttoken',
  include_prompt: true,
});

/** @returns the rule, and the files that were read for it */
function read(files: Readonly<Record<string, unknown>>, config: Readonly<Record<string, unknown>> = {}) {
  const names: string[] = [];
  const rule = readEmbedding({ has: (name) => name in files }, config, (name) => {
    names.push(name);
    return files[name];
  });
  return { rule, names };
}

describe('readEmbedding', () => {
  it('a plain decoder: the last token, of length 1', () => {
    expect(read({})).toEqual({ rule: { pooling: 'last', normalize: true, dimensions: [] }, names: [] });
  });

  it('what sentence-transformers wrote', () => {
    const files = { 'modules.json': [transformer, pooling, normalize], '1_Pooling/config.json': modes('lasttoken') };
    const names = ['modules.json', '1_Pooling/config.json'];
    expect(read(files)).toEqual({ rule: { pooling: 'last', normalize: true, dimensions: [] }, names });
    const mean = { 'modules.json': [transformer, pooling], '1_Pooling/config.json': modes('mean_tokens') };
    expect(read(mean).rule).toEqual({ pooling: 'mean', normalize: false, dimensions: [] });
  });

  it('shorter ones where the model was trained for them', () => {
    expect(read({}, { is_matryoshka: true }).rule).toMatchObject({ dimensions: 'any' });
    expect(read({}, { matryoshka_dimensions: [4, 2, 'x'] }).rule).toMatchObject({ dimensions: [4, 2] });
  });

  it.each<[string, Readonly<Record<string, unknown>>, string]>([
    ['a dense layer', { 'modules.json': [transformer, { ...pooling, type: 'x.Dense' }] }, 'Dense'],
    ['the first token', { 'modules.json': [pooling], '1_Pooling/config.json': modes('cls_token') }, 'cls_token'],
    ['no pooling', { 'modules.json': [transformer] }, 'no pooling'],
    ['no list', { 'modules.json': {} }, 'no list'],
    ['a path that leads away', { 'modules.json': [{ ...pooling, path: '../x' }] }, 'Pooling'],
  ])('refuses %s', (_, files, reason) => {
    expect(read(files).rule).toEqual({ refused: expect.stringContaining(reason) });
  });
});

describe('embeddingOfGguf', () => {
  it('goes by the pooling type', () => {
    expect(embeddingOfGguf(undefined, {})).toMatchObject({ pooling: 'last', normalize: true });
    expect(embeddingOfGguf(3, {})).toMatchObject({ pooling: 'last' });
    expect(embeddingOfGguf(1, {})).toMatchObject({ pooling: 'mean' });
    expect(embeddingOfGguf(2, {})).toEqual({ refused: expect.stringContaining('2') });
  });
});
