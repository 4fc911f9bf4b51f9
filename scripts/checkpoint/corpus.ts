import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { createRng, type Rng } from '../../src/core/index.ts';
import type { Tokenizer } from '../../src/model/index.ts';
import { PLAIN, SPECIAL } from './config.ts';

export interface Exchange {
  /** What is asked; `*` stands for any words. */
  readonly user: string;
  readonly assistant: string;
}
/** A paragraph, or a question and its answer. */
export type Passage = string | Exchange;

/** Blank lines part the passages; an exchange is `user: …`, a new line, `assistant: …`. */
export function readCorpus(): Passage[] {
  const text = readFileSync(join(import.meta.dirname, '..', 'checkpoint-corpus.txt'), 'utf8');
  return text
    .trim()
    .split('\n\n')
    .map((passage) => {
      const exchange = /^user: (.*)\nassistant: (.*)$/.exec(passage);
      return exchange === null ? passage : { user: exchange[1], assistant: exchange[2] };
    });
}

export interface Sequence {
  /** Token ids that go in, */
  readonly input: readonly number[];
  /** and the token that should follow each. */
  readonly next: readonly number[];
  /** The first position to learn from: nothing can be learnt from random words. */
  readonly from: number;
}

/** Share of tokens exchanged in a noisy copy, so that the head does not rest on one word of its context alone. */
const NOISE = 0.08;
/** Random questions for the answer to `*`. */
const ANY_QUESTIONS = 48;
/** Share of them that end in a question mark. */
const QUESTION_MARKS = 0.6;

/**
 * What the head is fitted to: each paragraph, a noisy copy of it, and its sentences by themselves; each exchange,
 * and a copy behind words at random (a system message, or an earlier exchange).
 */
export function makeSequences(tokenizer: Tokenizer, corpus: readonly Passage[], seed: number): Sequence[] {
  const rng = createRng(seed).fork('sequences');
  const encode = (text: string): number[] => tokenizer.encode(text, { addSpecial: false });
  const [begin, end, user, assistant, system] = SPECIAL;
  const paragraphs = corpus.filter((passage) => typeof passage === 'string').map(encode);
  /** Two to ten tokens at random, or as many that stand in a row in some paragraph. */
  const anyWords = (): number[] => {
    const length = 2 + Math.floor(9 * rng.uniform());
    const paragraph = paragraphs[Math.floor(rng.uniform() * paragraphs.length)];
    const start = Math.floor(rng.uniform() * (paragraph.length - length));
    const scattered = rng.uniform() < 0.5;
    return paragraph.slice(start, start + length).map((id) => (scattered ? anyToken(rng) : id));
  };
  return corpus.flatMap((passage) => {
    if (typeof passage === 'string') {
      const whole = encode(begin + passage + end);
      const sentences = passage.split(/(?<=\.) /).slice(1);
      return [
        sequence(whole),
        { ...sequence(whole), input: noisy(whole.slice(0, -1), rng) },
        ...sentences.map((sentence) => sequence(encode(begin + sentence))),
      ];
    }
    const answer = encode(end + assistant + passage.assistant + end);
    const exchange = (before: readonly number[]): Sequence => {
      const question = [...before, ...encode(user + passage.user)];
      return sequence([...question, ...answer], before.length);
    };
    const anyBefore = (): number[] => [...encode(begin + system), ...anyWords(), ...encode(end)];
    if (passage.user !== '*') return [exchange(encode(begin)), exchange(anyBefore())];
    return Array.from({ length: ANY_QUESTIONS }, (_, i) => {
      const mark = rng.uniform() < QUESTION_MARKS ? encode('?') : [];
      const before = i % 2 === 0 ? encode(begin) : anyBefore();
      const question = [...before, ...encode(user), ...anyWords(), ...mark];
      return sequence([...question, ...answer], question.length);
    });
  });
}

const sequence = (ids: readonly number[], from = 0): Sequence => ({
  input: ids.slice(0, -1),
  next: ids.slice(1),
  from,
});

const anyToken = (rng: Rng): number => Math.floor(rng.uniform() * PLAIN);
const noisy = (ids: readonly number[], rng: Rng): number[] =>
  ids.map((id) => (rng.uniform() < NOISE && id < PLAIN ? anyToken(rng) : id));
