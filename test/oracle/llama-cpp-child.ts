// Runs in a process of its own, so that a crash of native code fails one test and not the runner.
// stdin: a `LlamaCppJob` as JSON; stdout: a `LlamaCppResult` as JSON.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import type { LlamaCppJob, LlamaCppResult } from './llama-cpp.ts';

/** The part of node-llama-cpp 3.22 that is used; the package is no dependency, so its own types are absent. */
interface NodeLlamaCpp {
  readonly LlamaLogLevel: { readonly error: string };
  getLlama(options: object): Promise<{
    readonly llamaCppRelease: { readonly release: string };
    loadModel(options: object): Promise<{
      createContext(options: object): Promise<{
        getSequence(): {
          controlledEvaluate(
            input: readonly (readonly [token: number, options: object])[],
          ): Promise<readonly ({ next: { token?: number; logits?: Map<number, number> } } | undefined)[]>;
        };
      }>;
    }>;
  }>;
}

const job = JSON.parse(Buffer.concat(await process.stdin.toArray()).toString()) as LlamaCppJob;
const require = createRequire(join(job.oracles, 'package.json'));
const { getLlama, LlamaLogLevel } = (await import(
  pathToFileURL(require.resolve('node-llama-cpp')).href
)) as NodeLlamaCpp;

const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: 1 });
const model = await llama.loadModel({ modelPath: job.file, gpuLayers: 0 });
const context = await model.createContext({
  contextSize: job.prompt.length + job.steps + 1,
  batchSize: job.prompt.length,
  threads: 1,
  // Half-precision keys and values, or a fused kernel that sums in half precision, would hide errors of ours.
  flashAttention: false,
  experimentalKvCacheKeyType: 'F32',
  experimentalKvCacheValueType: 'F32',
});
const sequence = context.getSequence();
// Temperature 0 is greedy; logits are wanted as the model gave them.
const generateNext = { token: true, logits: true, options: { temperature: 0 } };

const result: { prompt: number[][]; greedy: number[]; logits: number[][]; release: string } = {
  prompt: [],
  greedy: [],
  logits: [],
  release: llama.llamaCppRelease.release,
};
let input: readonly number[] = job.prompt;
while (result.greedy.length < job.steps) {
  const outputs = await sequence.controlledEvaluate(input.map((token) => [token, { generateNext }]));
  const rows = input.map((_, i) => {
    const found = outputs[i]?.next.logits;
    if (found === undefined) throw new Error(`no logits for input ${i}`);
    const row = Array.from({ length: job.vocab }, () => NaN);
    for (const [token, logit] of found) row[token] = logit;
    return row;
  });
  const token = outputs[input.length - 1]?.next.token;
  if (token === undefined) throw new Error('no token was generated');
  if (result.greedy.length === 0) result.prompt.push(...rows);
  result.greedy.push(token);
  result.logits.push(rows[rows.length - 1]);
  input = [token];
}
// The native threads need not be waited for.
process.stdout.write(JSON.stringify(result satisfies LlamaCppResult), () => process.exit(0));
