// In a process of its own, like llama-cpp-child.ts. stdin: an `EmbedJob` as JSON; stdout: of each file and text a vector as JSON.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import type { EmbedJob } from './llama-cpp.ts';

/** The part of node-llama-cpp 3.22 that is used. */
interface NodeLlamaCpp {
  readonly LlamaLogLevel: { readonly error: string };
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{
      createEmbeddingContext(options: object): Promise<{
        getEmbeddingFor(tokens: number[]): Promise<{ readonly vector: readonly number[] }>;
      }>;
    }>;
  }>;
}

const job = JSON.parse(Buffer.concat(await process.stdin.toArray()).toString()) as EmbedJob;
const require = createRequire(join(job.oracles, 'package.json'));
const { getLlama, LlamaLogLevel } = (await import(
  pathToFileURL(require.resolve('node-llama-cpp')).href
)) as NodeLlamaCpp;
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: 1 });
const vectors: (readonly number[])[][] = [];
for (const file of job.files) {
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
  const context = await model.createEmbeddingContext({ contextSize: job.contextSize, threads: 1 });
  const each: (readonly number[])[] = [];
  for (const text of job.texts) each.push((await context.getEmbeddingFor([...text])).vector);
  vectors.push(each);
}
process.stdout.write(JSON.stringify(vectors), () => process.exit(0));
