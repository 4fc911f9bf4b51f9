// The server of the soak: an emulated model with little room for KV, so that requests wait, are preempted and share
// prefixes. It tells its parent, when asked, what the engine holds and what the records of requests add up to.

import process from 'node:process';
import { startServer } from '../src/app/http/server.ts';
import { wallClock } from '../src/app/http/wall-clock.ts';
import { createRng } from '../src/core/index.ts';
import { createWordTokenizer } from '../src/model/index.ts';
import {
  createApi,
  createEmulateExecutor,
  createEngine,
  createRegistry,
  fillerOf,
  pageWords,
} from '../src/runtime/index.ts';

const VOCAB = 8192;
const tokenizer = createWordTokenizer(pageWords(), VOCAB);
const executor = createEmulateExecutor({
  vocab: VOCAB,
  maxContext: 2048,
  kvTokens: 2048,
  filler: fillerOf(tokenizer),
});
const engine = createEngine({ executor, clock: wallClock, scheduler: 'priority' });
/** By request: outcome, prompt tokens, tokens generated. */
const records = new Map<string, readonly [string, number, number]>();
let failures = 0;
const model = { id: 'soak', created: 0, ownedBy: 'bench', engine, tokenizer, eos: tokenizer.eosIds };
const api = createApi({
  registry: createRegistry({ clock: wallClock }, [{ model, close: () => engine.close() }]),
  clock: wallClock,
  rng: createRng(1),
  onFailure: () => failures++,
  onRequest: ({ id, outcome, asked, account }) =>
    void records.set(id, [outcome, asked?.promptTokens ?? 0, account?.generatedTokens ?? 0]),
});
const server = await startServer({ api, host: '127.0.0.1', port: 0 });
process.send?.({ url: server.url });
process.on('message', (message) => {
  if (message === 'close') {
    void server.close().then(() => engine.close());
    process.disconnect();
    return;
  }
  globalThis.gc?.();
  process.send?.({
    counts: engine.counts,
    ...(message === 'records' ? { records: [...records] } : {}),
    failures,
    rss: process.memoryUsage().rss,
    heap: process.memoryUsage().heapUsed,
  });
});
