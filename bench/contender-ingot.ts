// The program executor as a contender. Arguments: the checkpoint's folder, the program as JSON, threads, KV tokens.
// Imports no more than serving needs, since its peak memory is measured.

import { readFileSync } from 'node:fs';
import { filesOf, openWeightFiles } from '../src/model/index.node.ts';
import { createProgramExecutor } from '../src/runtime/executor/program.node.ts';
import type { Program } from '../src/wafer/index.ts';
import { contend, decodePrompt, mostSequences, prompt, timed } from './contender.ts';

const [folder, programFile, threads, kvTokens] = process.argv.slice(2);
const program = JSON.parse(readFileSync(programFile, 'utf8')) as Program;
const executor = await createProgramExecutor({
  program,
  weights: openWeightFiles(filesOf(folder)).source,
  threads: Number(threads) === 2 ? 2 : 1,
  kvTokens: Number(kvTokens),
});
const { vocab, blocks } = executor;
const wholeCache = Int32Array.from({ length: blocks }, (_, i) => i);
/** Sequences of a batch share the cache evenly. */
const share = Math.floor(blocks / mostSequences);
const ownBlocks = Array.from({ length: mostSequences }, (_, s) => wholeCache.subarray(s * share, (s + 1) * share));

/** One step of as many sequences as there are lists of tokens; the likeliest token after each. */
async function step(tokens: readonly (readonly number[])[], start: number): Promise<number[]> {
  const items = tokens.map((own, sequence) => ({
    sequence,
    tokens: Int32Array.from(own),
    start,
    blockTable: tokens.length === 1 ? wholeCache : ownBlocks[sequence],
    wantLogits: 1,
  }));
  const results = await executor.execute({ items });
  return results.map(([logits]) => {
    let best = 0;
    for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
    return best;
  });
}

contend(`Node ${process.version}`, async (turn) => {
  if (turn.kind === 'prefill')
    return timed(turn.tokens, async () => void (await step([prompt(turn.tokens, vocab)], 0)));
  const sequences = turn.kind === 'batch' ? turn.sequences : 1;
  const prompts = Array.from({ length: sequences }, (_, s) => prompt(decodePrompt, vocab, s * decodePrompt));
  let tokens = await step(prompts, 0);
  return timed(turn.tokens, async () => {
    for (let i = 0; i < turn.tokens / sequences; i++) {
      tokens = await step(
        tokens.map((token) => [token]),
        decodePrompt + i,
      );
    }
  });
});
