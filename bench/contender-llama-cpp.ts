// llama.cpp (node-llama-cpp) as a contender. Arguments: the GGUF file, threads, context size.

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { shape } from './model-125m.ts';
import { contend, decodePrompt, prompt, timed } from './contender.ts';

/** The part of node-llama-cpp 3.22 that is used; the package is no dependency, so its own types are absent. */
interface Sequence {
  evaluate(tokens: readonly number[], options: object): AsyncGenerator<number>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
  clearHistory(): Promise<void>;
}
interface NodeLlamaCpp {
  readonly LlamaLogLevel: { readonly error: string };
  getLlama(options: object): Promise<{
    readonly llamaCppRelease: { readonly release: string };
    loadModel(options: object): Promise<{ createContext(options: object): Promise<{ getSequence(): Sequence }> }>;
  }>;
}

const [file, threadsText, contextSize] = process.argv.slice(2);
const threads = Number(threadsText);
const require = createRequire(join(resolve(import.meta.dirname, '../.oracles'), 'package.json'));
const module = (await import(pathToFileURL(require.resolve('node-llama-cpp')).href)) as NodeLlamaCpp;
const { getLlama, LlamaLogLevel } = module;
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: threads });
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
const context = await model.createContext({ contextSize: Number(contextSize), batchSize: 512, threads });
const sequence = context.getSequence();

contend(`llama.cpp ${llama.llamaCppRelease.release}`, async (turn) => {
  await sequence.clearHistory();
  if (turn.kind === 'prefill') {
    // One token is generated, so that the logits of the last prompt token are computed as by the other side.
    return timed(turn.tokens, async () => {
      const tokens = sequence.evaluate(prompt(turn.tokens, shape.vocab), { temperature: 0 });
      await tokens.next();
      await tokens.return(undefined);
    });
  }
  const tokens = sequence.evaluate(prompt(decodePrompt, shape.vocab), { temperature: 0 });
  await tokens.next();
  const result = await timed(turn.tokens, async () => {
    for (let i = 0; i < turn.tokens; i++) {
      const { done } = await tokens.next();
      if (done) throw new Error('the text ended early');
    }
  });
  await tokens.return(undefined);
  return result;
});
