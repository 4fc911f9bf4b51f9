// The program executor as a contender. Arguments: the checkpoint's folder, the program as JSON, threads, KV tokens.
// Imports no more than serving needs, since its peak memory is measured.

import { readFileSync } from 'node:fs';
import { filesOf, openWeightFiles } from '../src/model/index.node.ts';
import { createProgramExecutor } from '../src/runtime/executor/program.node.ts';
import type { Program } from '../src/wafer/index.ts';
import { contend, decodePrompt, prompt, timed } from './contender.ts';

const [folder, programFile, threads, kvTokens] = process.argv.slice(2);
const program = JSON.parse(readFileSync(programFile, 'utf8')) as Program;
const executor = await createProgramExecutor({
  program,
  weights: openWeightFiles(filesOf(folder)).source,
  threads: Number(threads) === 2 ? 2 : 1,
  kvTokens: Number(kvTokens),
});
const { vocab } = executor;
const blockTable = Int32Array.from({ length: executor.blocks }, (_, i) => i);

async function step(tokens: readonly number[], start: number): Promise<number> {
  const items = [{ sequence: 0, tokens: Int32Array.from(tokens), start, blockTable, wantLogits: 1 }];
  const [[logits]] = await executor.execute({ items });
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

contend(`Node ${process.version}`, async (turn) => {
  if (turn.kind === 'prefill') return timed(turn.tokens, async () => void (await step(prompt(turn.tokens, vocab), 0)));
  let token = await step(prompt(decodePrompt, vocab), 0);
  return timed(turn.tokens, async () => {
    for (let i = 0; i < turn.tokens; i++) token = await step([token], decodePrompt + i);
  });
});
