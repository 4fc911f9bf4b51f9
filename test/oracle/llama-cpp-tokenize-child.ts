// In a process of its own, like llama-cpp-child.ts. stdin: a `TokenizeJob` as JSON; stdout: ids of each text of each vocabulary as JSON.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import type { TokenizeJob } from './llama-cpp.ts';

/** The part of node-llama-cpp 3.22 that is used. */
interface NodeLlamaCpp {
  readonly LlamaLogLevel: { readonly error: string };
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{ tokenize(text: string, specialTokens: boolean): number[] }>;
  }>;
}

const job = JSON.parse(Buffer.concat(await process.stdin.toArray()).toString()) as TokenizeJob;
const require = createRequire(join(job.oracles, 'package.json'));
const { getLlama, LlamaLogLevel } = (await import(
  pathToFileURL(require.resolve('node-llama-cpp')).href
)) as NodeLlamaCpp;
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: 1 });
const ids: number[][][] = [];
for (const { file, texts } of job.vocabularies) {
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0, vocabOnly: true });
  ids.push(texts.map((text) => model.tokenize(text, true)));
}
process.stdout.write(JSON.stringify(ids), () => process.exit(0));
