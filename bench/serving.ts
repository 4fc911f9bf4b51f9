// What serving costs beside the model: the engine's own time per step, a request's way from socket to first step, events
// per second of one core, and how well tokens keep the wafer's pace. All on emulated models, so that nothing is computed.
//
//   node bench/serving.ts [--model llama-3.1-70b] [--rounds 5]
//
// Event rates are per second of the server's processor time, so that a busy machine shows less than its clock would. They are
// those of a server that has been up for a while, medians over rounds: its first two rounds take twice as long and more, half of
// that in V8's compilers.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startServer } from '../src/app/http/server.ts';
import { wallClock } from '../src/app/http/wall-clock.ts';
import { createRng, createVirtualClock, median, quantile, renderTable } from '../src/core/index.ts';
import { createWordTokenizer } from '../src/model/index.ts';
import {
  createApi,
  createEmulateExecutor,
  createEngine,
  createRegistry,
  fillerOf,
  pageWords,
} from '../src/runtime/index.ts';
import type { Engine, EngineRequest, Executor } from '../src/runtime/index.ts';

const { values: options } = parseArgs({
  options: { model: { type: 'string', default: 'llama-3.1-70b' }, rounds: { type: 'string', default: '5' } },
});
const rounds = Number(options.rounds);
const VOCAB = 128_256;
const tokenizer = createWordTokenizer(pageWords(), VOCAB);
const filler = fillerOf(tokenizer);
const prompt = tokenizer.encode('Say something about the shape of a system.');
/** Rounds that are not counted. */
const WARM_UP = 3;
const rows: string[][] = [];
const report = (what: string, value: string, goal = ''): void => {
  rows.push([what, value, goal]);
  process.stderr.write(`${what}: ${value}\n`);
};

const emulated = (): Executor => createEmulateExecutor({ vocab: VOCAB, maxContext: 8192, kvTokens: 262_144, filler });

const requestOf = (seed: number, maxTokens: number): EngineRequest => ({
  prompts: [prompt],
  maxTokens,
  sampling: { temperature: 1 },
  seed,
  decoder: () => tokenizer.decoder(),
});

/** Reads as the API does where each token travels at once. */
async function drain(engine: Engine, request: EngineRequest): Promise<void> {
  const events = engine.submit(request);
  do await events.ready();
  while (events.take() !== undefined);
}

/** Processor time of the engine and its readers, per step, without a server, and once V8 has compiled what runs. */
async function engineOverhead(): Promise<void> {
  for (const sequences of [1, 8, 32, 64]) {
    const pause = (): Promise<void> => Promise.resolve();
    const engine = createEngine({ executor: emulated(), clock: createVirtualClock(), pause });
    const tokens = Math.min(7000, Math.ceil(120_000 / sequences));
    const times: number[] = [];
    for (let round = 0; round < WARM_UP + 5; round++) {
      const steps = engine.counts.steps;
      const began = process.cpuUsage();
      await Promise.all(Array.from({ length: sequences }, (_, i) => drain(engine, requestOf(i, tokens))));
      const { user, system } = process.cpuUsage(began);
      if (round >= WARM_UP) times.push((user + system) / (engine.counts.steps - steps));
    }
    const step = median(times);
    report(`engine, per step of ${sequences}`, `${step.toFixed(1)} µs (${(step / sequences).toFixed(2)} a token)`);
  }
}

/** From the client's write on an open connection to the executor's first call, in one process. */
async function socketToStep(): Promise<void> {
  const inner = emulated();
  let first: number | undefined;
  const executor: Executor = {
    ...inner,
    execute(batch) {
      first ??= performance.now();
      return inner.execute(batch);
    },
  };
  const engine = createEngine({ executor, clock: wallClock });
  const model = { id: 'm', created: 0, ownedBy: 'bench', engine, tokenizer, eos: tokenizer.eosIds };
  const registry = createRegistry({ clock: wallClock }, [{ model, close: () => engine.close() }]);
  const api = createApi({ registry, clock: wallClock, rng: createRng(1) });
  const server = await startServer({ api, host: '127.0.0.1', port: 0 });
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1').setNoDelay(true);
  await once(socket, 'connect');
  const times: number[] = [];
  for (let i = 0; i < 600; i++) {
    first = undefined;
    const sent = performance.now();
    socket.write(httpRequest({ model: 'm', messages: [{ role: 'user', content: 'Hello there.' }], max_tokens: 1 }));
    await once(socket, 'data');
    if (i >= 100) times.push((first ?? NaN) - sent);
  }
  socket.destroy();
  await server.close();
  await engine.close();
  const text = [0.5, 0.99].map((q) => `p${q * 100} ${quantile(times, q).toFixed(3)} ms`).join(', ');
  report('socket to first step', text, 'p50 < 0.5 ms');
}

const httpRequest = (body: object): string => {
  const text = JSON.stringify(body);
  return (
    `POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n` +
    `content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
  );
};

interface Served {
  readonly port: number;
  readonly child: ChildProcess;
  /** Seconds of processor time that its threads have taken so far. */
  cpu(): number;
  /** What it says at its end. */
  stop(): Promise<string>;
}

async function serve(...argv: readonly string[]): Promise<Served> {
  const bin = join(import.meta.dirname, '..', 'bin', 'ingot.mjs');
  const child = spawn(process.execPath, [bin, 'serve', '--emulate', options.model, '--port', '0', '--json', ...argv]);
  let err = '';
  child.stderr.on('data', (piece: Buffer) => (err += piece.toString()));
  const ended = once(child, 'exit');
  const [out] = (await Promise.race([once(child.stdout, 'data'), ended.then(() => [undefined])])) as [Buffer?];
  if (out === undefined) throw new Error(err);
  const { url } = JSON.parse(out.toString()) as { url: string };
  return {
    child,
    port: Number(new URL(url).port),
    cpu() {
      const threads = `/proc/${child.pid}/task`;
      const spent = readdirSync(threads).map(
        (id) => readFileSync(join(threads, id, 'schedstat'), 'utf8').split(' ')[0],
      );
      return spent.reduce((sum, nanoseconds) => sum + Number(nanoseconds), 0) / 1e9;
    },
    async stop() {
      child.kill('SIGINT');
      await ended;
      return err;
    },
  };
}

/** What came over a socket, and when, ms; looked at when all is over, so that the client costs as little as it can. */
type Wire = readonly { readonly at: number; readonly bytes: Buffer }[];

/** Ends a chunked body, and with it a whole answer. */
const LAST_CHUNK = Buffer.from('0\r\n\r\n');

const bodyOf = (maxTokens: number, seed: number): object => ({
  model: options.model,
  messages: [{ role: 'user', content: `Say something about system ${seed}.` }],
  max_tokens: maxTokens,
  ignore_eos: true,
  seed,
});

/** The text of an answer that is not streamed. */
async function whole(port: number, maxTokens: number, seed: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify(bodyOf(maxTokens, seed)),
  });
  const { choices } = (await response.json()) as { choices: readonly { message: { content: string } }[] };
  return choices[0].message.content;
}

/** One streamed answer. @throws Error where the server cuts it */
async function stream(port: number, maxTokens: number, seed: number): Promise<Wire> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  socket.write(httpRequest({ ...bodyOf(maxTokens, seed), stream: true }));
  const wire: { at: number; bytes: Buffer }[] = [];
  await new Promise<void>((resolve, reject) => {
    socket.on('data', (bytes: Buffer) => {
      wire.push({ at: performance.now(), bytes });
      if (bytes.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)) resolve();
    });
    socket.on('close', () => reject(new Error('the stream was cut')));
  });
  socket.destroy();
  return wire;
}

interface Told {
  /** When each event with text came, ms. */
  readonly times: readonly number[];
  readonly text: string;
  readonly tokens: number;
  readonly simulatedTokensPerSecond: number;
}

/** What an answer's bytes say. */
function read(wire: Wire): Told {
  const times: number[] = [];
  let text = '';
  let [tokens, simulatedTokensPerSecond] = [0, NaN];
  let rest = '';
  for (const { at, bytes } of wire) {
    // Sizes of chunks stand on lines of their own, which no event's line is.
    const lines = (rest + bytes.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('data: {')) continue;
      const event = JSON.parse(line.slice('data: '.length)) as StreamEvent;
      const content = event.choices[0].delta.content ?? '';
      if (content !== '') times.push(at);
      text += content;
      tokens = event.usage?.completion_tokens ?? tokens;
      simulatedTokensPerSecond = event.time_info?.simulated_wafer.tokens_per_second ?? simulatedTokensPerSecond;
    }
  }
  return { times, text, tokens, simulatedTokensPerSecond };
}

interface StreamEvent {
  readonly choices: readonly { readonly delta: { readonly content?: string } }[];
  readonly usage?: { readonly completion_tokens: number };
  readonly time_info?: { readonly simulated_wafer: { readonly tokens_per_second: number } };
}

const STREAMS = 32;
const TOKENS = 7000;

/** Whole answers of many streams, by the server's processor time; every one must say what it says where it is not streamed. */
async function eventRate(): Promise<void> {
  for (const coalesceMs of [0, 10]) {
    const server = await serve('--pace', 'asap', '--context', '262144', '--coalesce-ms', String(coalesceMs));
    try {
      const seeds = Array.from({ length: STREAMS }, (_, i) => i);
      const expected = await Promise.all(seeds.map((seed) => whole(server.port, TOKENS, seed)));
      for (let round = 0; round < WARM_UP; round++) {
        await Promise.all(seeds.map((seed) => stream(server.port, TOKENS, seed)));
      }
      const rates: { readonly events: number; readonly tokens: number }[] = [];
      for (let round = 0; round < rounds; round++) {
        const began = server.cpu();
        const wires = await Promise.all(seeds.map((seed) => stream(server.port, TOKENS, seed)));
        const used = server.cpu() - began;
        const answers = wires.map(read);
        if (answers.some(({ text, tokens }, i) => tokens !== TOKENS || text !== expected[i])) {
          throw new Error('what came is not what was generated');
        }
        const events = answers.reduce((sum, { times }) => sum + times.length, 0);
        rates.push({ events: events / used, tokens: (STREAMS * TOKENS) / used });
      }
      const events = Math.round(median(rates.map((rate) => rate.events)));
      const tokens = Math.round(median(rates.map((rate) => rate.tokens)));
      if (coalesceMs === 0) report(`events, ${STREAMS} streams`, `${events} per second of a core`, '≥ 50,000');
      else {
        const together = `${(tokens / events).toFixed(0)} an event`;
        report(
          `tokens within ${coalesceMs} ms together, ${STREAMS} streams`,
          `${tokens} per second of a core (${together})`,
          '≥ 500,000',
        );
      }
    } finally {
      await server.stop();
    }
  }
}

async function pace(): Promise<void> {
  const server = await serve('--context', '65536');
  try {
    await stream(server.port, 500, 0);
    const errors: number[] = [];
    let simulated = 0;
    for (let i = 1; i <= 5; i++) {
      const { times, simulatedTokensPerSecond } = read(await stream(server.port, 1000, i));
      simulated = 1000 / simulatedTokensPerSecond;
      const tpot = (times[times.length - 1] - times[0]) / (times.length - 1);
      errors.push(tpot / simulated - 1);
    }
    const text = errors.map((e) => `${(100 * e).toFixed(2)} %`).join(', ');
    report(`client's TPOT, 1 stream`, `${simulated.toFixed(4)} ms simulated; client ${text}`, 'within 2 %');
    for (const streams of [2, 4, 8, 16, 32, 64]) {
      await Promise.all(Array.from({ length: streams }, (_, i) => stream(server.port, 300, 100 * streams + i)));
    }
  } finally {
    const summary = await server.stop();
    report('pace', /pace of the wafer: (.*)/.exec(summary)?.[1] ?? summary);
  }
}

await engineOverhead();
await socketToStep();
await eventRate();
await pace();
const columns = ['what', 'measured', 'goal'].map((heading, i) => ({ heading, text: (row: string[]) => row[i] }));
process.stdout.write(`${renderTable(columns, rows)}\n`);
