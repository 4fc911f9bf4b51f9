// The shipped checkpoint is what its script makes, and does what its README says.
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

import { config, PLAIN, SEED, SPECIAL } from '../scripts/checkpoint/config.ts';
import { makeSequences, readCorpus } from '../scripts/checkpoint/corpus.ts';
import { fitHead } from '../scripts/checkpoint/fit-head.ts';
import { makeFrozen } from '../scripts/checkpoint/frozen-layers.ts';
import { bytesOf, hiddenStates } from '../scripts/checkpoint/hidden-states.ts';
import { makeTokenizerFiles } from '../scripts/checkpoint/tokenizer-files.ts';
import { trainBpe } from '../scripts/checkpoint/train-bpe.ts';
import { createRng, IngotError, seconds } from '../src/core/index.ts';
import { openCheckpoint } from '../src/model/index.node.ts';
import { argmax, createReference, parameterCount } from '../src/model/index.ts';

const dir = join(import.meta.dirname, '..', 'checkpoint');
const corpus = readCorpus();
const checkpoint = openCheckpoint(dir);
afterAll(() => checkpoint.close());
const { shape, tokenizer, weights } = checkpoint;
const written = (name: string): string => readFileSync(join(dir, name), 'utf8');
const asWritten = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
const bytes = (name: string): Uint8Array => {
  const rows = weights.shape(name)[0];
  const all = new Uint8Array(2 * weights.shape(name).reduce((a, b) => a * b, 1));
  weights.readRows(name, 0, rows, all);
  return all;
};
const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');

describe('the shipped checkpoint', () => {
  it('is what its script makes: configuration, tokenizer, every frozen tensor', () => {
    const files = makeTokenizerFiles(corpus);
    expect(written('config.json')).toBe(asWritten(config));
    expect(written('tokenizer.json')).toBe(asWritten(files.tokenizer));
    expect(written('tokenizer_config.json')).toBe(asWritten(files.config));
    const frozen = makeFrozen(shape, SEED);
    expect([...frozen.keys(), 'lm_head.weight'].sort()).toEqual([...weights.names].sort());
    for (const [name, tensor] of frozen) expect([name, sha256(bytes(name))]).toEqual([name, sha256(bytesOf(tensor))]);
  });

  it('is as large as its README says, and has the sum that stands there', () => {
    expect(statSync(join(dir, 'model.safetensors')).size).toBeLessThan(5e6);
    expect(parameterCount(shape)).toBeGreaterThan(2.25e6);
    expect(parameterCount(shape)).toBeLessThan(2.35e6);
    expect(written('README.md')).toContain(checkpoint.provenance.sha256('model.safetensors'));
  });

  it('has a head that gives the next token of its text nearly always', () => {
    // The reference is slow: every 41st of the sequences that the head was fitted to.
    const some = makeSequences(tokenizer, corpus, SEED).filter(({ input }, i) => i % 41 === 0 && input.length < 120);
    const frozen = new Map(weights.names.map((name) => [name, new Uint16Array(bytes(name).buffer)]));
    frozen.delete('lm_head.weight');
    const { hidden, targets } = hiddenStates(shape, frozen, some);
    const head = weights.read('lm_head.weight');
    let right = 0;
    for (const [i, target] of targets.entries()) {
      const x = hidden.subarray(i * shape.hidden, (i + 1) * shape.hidden);
      const scores = Float32Array.from({ length: shape.vocab }, (_, v) =>
        head.subarray(v * shape.hidden, (v + 1) * shape.hidden).reduce((sum, w, d) => sum + w * x[d], 0),
      );
      right += Number(argmax(scores) === target);
    }
    expect(targets.length).toBeGreaterThan(100);
    expect(right / targets.length).toBeGreaterThan(0.9);
  });

  const reference = createReference(checkpoint.graph, weights);
  const greedy = (prompt: readonly number[], limit: number): string => {
    const session = reference.start();
    const ids: number[] = [];
    let next: readonly number[] = prompt;
    while (ids.length < limit) {
      const id = argmax(session.forward(next));
      if (checkpoint.generation.eosIds.includes(id)) break;
      ids.push(id);
      next = [id];
    }
    return tokenizer.decode(ids, { continues: true });
  };

  it('goes on with the beginnings of its sentences', () => {
    const text = corpus.filter((passage) => typeof passage === 'string').join('\n');
    for (const prompt of ['The wafer', 'In the evening', 'The memory is']) {
      expect(text).toContain(prompt + greedy(tokenizer.encode(prompt), 24));
    }
  });

  it('answers a question of its text, and owns up to the others', () => {
    const ask = (content: string): string => {
      const options = { addGenerationPrompt: true, now: seconds(0) };
      const prompt = tokenizer.renderChat([{ role: 'user', content }], options);
      expect(prompt).toBe(`<|begin|><|user|>${content}<|end|><|assistant|>`);
      return greedy(tokenizer.encode(prompt, { addSpecial: false }), 40);
    };
    expect(ask('What is a wafer?')).toBe(
      'A wafer is a thin round slice of silicon. It is cut from a long crystal that is called an ingot.',
    );
    expect(ask('What is the capital of France?')).toMatch(/^I do not know that\./);
  });

  it('begins texts with its first special token and ends them with the second', () => {
    expect(tokenizer.encode('')).toEqual([PLAIN]);
    expect([checkpoint.bosId, checkpoint.generation.eosIds]).toEqual([PLAIN, [PLAIN + 1]]);
    expect([...tokenizer.specialIds].map((id) => tokenizer.tokenText(id))).toEqual([...SPECIAL]);
    const refused = (): string =>
      tokenizer.renderChat([{ role: 'tool', content: '' }], { addGenerationPrompt: true, now: seconds(0) });
    expect(refused).toThrow(IngotError);
  });
});

describe('its makers', () => {
  it('trainBpe merges the most frequent pair, of equals the one with the lower ids', () => {
    // Pieces: "ab" once, " ab" twice, " ca" twice. The pair (a, b) stands three times. Then (space, ab),
    // (space, c) and (c, a) stand twice each; by id they are (32, 256), (32, 99) and (99, 97).
    const { tokens, merges } = trainBpe(['ab ab ab ca ca'], 260);
    expect(merges).toEqual([
      ['a', 'b'],
      ['Ġ', 'c'],
      ['Ġ', 'ab'],
      ['Ġc', 'a'],
    ]);
    expect(tokens.slice(256)).toEqual(['ab', 'Ġc', 'Ġab', 'Ġca']);
    // Nothing stands twice any more.
    expect(trainBpe(['ab ab ab ca ca'], 400).tokens).toHaveLength(260);
  });

  it('fitHead learns what a linear head can learn, the same each time', () => {
    const rng = createRng(1);
    const width = 8;
    const truth = Float32Array.from({ length: 3 * width }, () => rng.normal());
    const hidden = Float32Array.from({ length: 200 * width }, () => rng.normal());
    const targets = Int32Array.from({ length: 200 }, (_, i) => {
      const score = (v: number): number =>
        truth.subarray(v * width, (v + 1) * width).reduce((sum, w, d) => sum + w * hidden[i * width + d], 0);
      return argmax(Float32Array.of(score(0), score(1), score(2)));
    });
    const options = { passes: 100, rate: 4, seed: 7 };
    const fit = fitHead(hidden, targets, 3, options);
    expect(fit.accuracy).toBeGreaterThan(0.98);
    expect(fit.loss).toBeLessThan(0.2);
    expect(fitHead(hidden, targets, 3, options)).toEqual(fit);
  });
});
