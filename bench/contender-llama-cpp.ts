// llama.cpp (node-llama-cpp) as a contender. Arguments: the GGUF file, threads, context size.

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { shape } from './model-125m.ts';
import { contend, decodePrompt, mostSequences, prompt, timed } from './contender.ts';

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
const whole = context.getSequence();
// Sequences of one batch lie in a context of their own, which llama.cpp gives to each in full.
const batchContext = await model.createContext({
  contextSize: Math.floor(Number(contextSize) / mostSequences),
  sequences: mostSequences,
  batchSize: 512,
  threads,
});
const sequences = Array.from({ length: mostSequences }, () => batchContext.getSequence());

contend(`llama.cpp ${llama.llamaCppRelease.release}`, async (turn) => {
  const used = turn.kind === 'batch' ? sequences.slice(0, turn.sequences) : [whole];
  for (const sequence of used) await sequence.clearHistory();
  if (turn.kind === 'prefill') {
    // One token is generated, so that the logits of the last prompt token are computed as by the other side.
    return timed(turn.tokens, async () => {
      const tokens = whole.evaluate(prompt(turn.tokens, shape.vocab), { temperature: 0 });
      await tokens.next();
      await tokens.return(undefined);
    });
  }
  const texts = used.map((sequence, s) =>
    sequence.evaluate(prompt(decodePrompt, shape.vocab, s * decodePrompt), { temperature: 0 }),
  );
  // All ask at once, so that their tokens make one batch.
  const step = async (): Promise<void> => {
    const tokens = await Promise.all(texts.map((text) => text.next()));
    if (tokens.some(({ done }) => done)) throw new Error('a text ended early');
  };
  await step();
  const result = await timed(turn.tokens, async () => {
    for (let i = 0; i < turn.tokens / used.length; i++) await step();
  });
  for (const text of texts) await text.return(undefined);
  return result;
});
