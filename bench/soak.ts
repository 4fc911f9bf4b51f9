// A soak: many requests in mixed shapes against a server with little room, some aborted, some malformed, in spikes. None may
// be lost, every token must be accounted for on both sides, every KV block must come back, and memory must stay flat.
//
//   node bench/soak.ts [--requests 10000] [--seed 1]
//
// The model is emulated, so that what is exercised is everything around it. Exits with 1 where something does not hold.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { createRng, formatCount, formatSi, median, renderTable, type Rng } from '../src/core/index.ts';

const { values: options } = parseArgs({
  options: { requests: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } },
});
const requests = Number(options.requests);
/** Requests in flight between spikes, and in them: every fourth of the soak's twenty parts is a spike. */
const STEADY = 24;
const SPIKE = 400;
const PARTS = 20;
const ABORTED = 0.1;
const MALFORMED = 0.05;
/** Memory is compared from here on: before it, caches fill and the first spike comes. */
const WARM = 0.25;
const FLAT = 0.1;

type Count = 'waiting' | 'running' | 'blocks' | 'blocksUsed' | 'preemptions' | 'generatedTokens' | 'cachedTokens';

interface State {
  readonly counts: Readonly<Record<Count, number>>;
  /** By request: outcome, prompt tokens, tokens generated. */
  readonly records?: readonly (readonly [string, readonly [string, number, number]])[];
  readonly failures: number;
  /** Bytes, after a collection. */
  readonly rss: number;
  readonly heap: number;
}

const child = fork(join(import.meta.dirname, 'soak-server.ts'), [], { execArgv: ['--expose-gc', '--no-warnings'] });
const [{ url }] = (await once(child, 'message')) as [{ url: string }];
const pool = new Pool(url, { connections: SPIKE, bodyTimeout: 120_000, headersTimeout: 120_000 });

async function state(what: 'counts' | 'records' = 'counts'): Promise<State> {
  child.send(what);
  const [message] = (await once(child, 'message')) as [State];
  return message;
}

type Fate = 'answered' | 'aborted' | 'refused' | 'lost';
const fates = new Map<Fate, number>();
/** What the clients were told that they used. */
const told = new Map<string, Usage>();

/** A whole number from 0 to count - 1. */
const below = (rng: Rng, count: number): number => Math.floor(rng.uniform() * count);
const words = ['wafer', 'die', 'mesh', 'core', 'link', 'row', 'tile', 'chip', 'heat', 'clock'];
const text = (rng: Rng, count: number): string =>
  Array.from({ length: count }, () => words[below(rng, words.length)]).join(' ');

/** Whole or streamed, chat or text, long or short, alone or several answers; a third begin alike. */
function wellFormed(rng: Rng, seed: number): { readonly path: string; readonly body: Record<string, unknown> } {
  const shared = below(rng, 3) === 0 ? `${'The wafer is a mesh of cores. '.repeat(20)}${below(rng, 5)} ` : '';
  const prompt = shared + text(rng, 1 + below(rng, below(rng, 10) === 0 ? 600 : 60));
  const common = {
    model: 'soak',
    max_tokens: 1 + below(rng, below(rng, 10) === 0 ? 400 : 40),
    seed,
    stream: below(rng, 2) === 0,
    ...(below(rng, 8) === 0 ? { n: 2 } : {}),
    ...(below(rng, 6) === 0 ? { stop: ['core'] } : {}),
  };
  return below(rng, 2) === 0
    ? { path: '/v1/completions', body: { ...common, prompt } }
    : {
        path: '/v1/chat/completions',
        body: {
          ...common,
          messages: [{ role: 'user', content: prompt }],
          ...(below(rng, 5) === 0 ? { service_tier: 'priority' } : {}),
          ...(below(rng, 10) === 0 ? { response_format: { type: 'json_object' } } : {}),
        },
      };
}

/** Bodies that must be refused. */
const malformed: readonly ((rng: Rng) => string)[] = [
  () => '{"model": "soak", "messages": [',
  () => JSON.stringify({ model: 'soak', messages: [{ role: 'user', content: 'x' }], max_tokns: 3 }),
  () => JSON.stringify({ model: 'soak', messages: 'hello' }),
  () => JSON.stringify({ model: 'no such model', messages: [{ role: 'user', content: 'x' }] }),
  (rng) => JSON.stringify({ model: 'soak', messages: [{ role: 'user', content: text(rng, 9000) }] }),
  () => JSON.stringify({ model: 'soak', messages: [{ role: 'user', content: 'x' }], temperature: 'hot' }),
];

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

const idOf = (index: number): string => `soak-${index}`;

async function one(index: number): Promise<Fate> {
  const rng = createRng(Number(options.seed)).fork(`request ${index}`);
  const draw = rng.uniform();
  if (draw < MALFORMED) {
    const path = '/v1/chat/completions';
    const { status } = await post(index, path, malformed[below(rng, malformed.length)](rng));
    return status >= 400 && status < 500 ? 'refused' : 'lost';
  }
  const { path, body } = wellFormed(rng, index);
  if (draw < MALFORMED + ABORTED) {
    const aborter = new AbortController();
    setTimeout(() => aborter.abort(), below(rng, 60));
    const ended = await post(index, path, JSON.stringify(body), aborter.signal).catch(() => undefined);
    // Some are faster than their abort.
    return ended === undefined ? 'aborted' : account(index, ended);
  }
  return account(index, await post(index, path, JSON.stringify(body)));
}

function account(index: number, { status, usage }: { readonly status: number; readonly usage?: Usage }): Fate {
  if (status !== 200 || usage === undefined) return 'lost';
  told.set(idOf(index), usage);
  return 'answered';
}

async function post(
  index: number,
  path: string,
  body: string,
  signal?: AbortSignal,
): Promise<{ status: number; usage?: Usage }> {
  const {
    statusCode,
    headers,
    body: stream,
  } = await pool.request({
    path,
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': idOf(index) },
    body,
    ...(signal === undefined ? {} : { signal }),
  });
  const whole = await stream.text();
  if (statusCode !== 200) return { status: statusCode };
  if (!String(headers['content-type']).startsWith('text/event-stream'))
    return { status: statusCode, usage: (JSON.parse(whole) as { usage: Usage }).usage };
  const events = whole.split('\n\n').filter((line) => line.startsWith('data: {'));
  if (!whole.trimEnd().endsWith('data: [DONE]')) return { status: 0 };
  const last = JSON.parse(events[events.length - 1].slice(6)) as { usage?: Usage };
  return { status: statusCode, ...(last.usage === undefined ? {} : { usage: last.usage }) };
}

const began = performance.now();
const samples: State[] = [];
let next = 0;
for (let part = 0; part < PARTS; part++) {
  const until = Math.round(((part + 1) * requests) / PARTS);
  const worker = async (): Promise<void> => {
    while (next < until) {
      const fate = await one(next++).catch((): Fate => 'lost');
      fates.set(fate, (fates.get(fate) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: part % 4 === 3 ? SPIKE : STEADY }, worker));
  const sample = await state();
  samples.push(sample);
  process.stderr.write(
    `${formatCount(next)} of ${formatCount(requests)}, ${formatSi(sample.rss, 'B')} resident, heap ${formatSi(sample.heap, 'B')}, ${sample.counts.preemptions} preempted\n`,
  );
}
// Cancelled requests end with the step that is running.
let last = await state('records');
for (let wait = 0; wait < 50 && last.counts.running + last.counts.waiting > 0; wait++) {
  await new Promise((resolve) => setTimeout(resolve, 20));
  last = await state('records');
}
const seconds = (performance.now() - began) / 1000;
child.send('close');
await pool.close();

const of = (fate: Fate): number => fates.get(fate) ?? 0;
const records = new Map(last.records);
const sum = (values: Iterable<number>): number => [...values].reduce((all, value) => all + value, 0);
/** Requests whose client and server do not say the same. */
const differ = [...told].filter(([id, usage]) => {
  const [outcome, prompt, generated] = records.get(id) ?? ['', -1, -1];
  return outcome !== 'ok' || prompt !== usage.prompt_tokens || generated !== usage.completion_tokens;
});
const generated = sum([...records.values()].map(([, , count]) => count));
/** Exact, those of clients that left included. */
const unaccounted = last.counts.generatedTokens - generated;
const warm = samples.slice(Math.floor(WARM * PARTS));
const third = Math.ceil(warm.length / 3);
/** How much more the last third of the soak holds than the first, by their medians. */
const growth = (of: (sample: State) => number): number =>
  median(warm.slice(-third).map(of)) / median(warm.slice(0, third).map(of)) - 1;
const range = (of: (sample: State) => number): string =>
  `${formatSi(Math.min(...warm.map(of)), 'B')} to ${formatSi(Math.max(...warm.map(of)), 'B')}, grown ${(100 * growth(of)).toFixed(1)} %`;
const checks: readonly (readonly [what: string, found: string, holds: boolean])[] = [
  ['lost', `${of('lost')} of ${formatCount(requests)}`, of('lost') === 0],
  [
    'answered, aborted, refused',
    `${of('answered')}, ${of('aborted')}, ${of('refused')}`,
    sum(fates.values()) === requests,
  ],
  [
    'not known to the server',
    `${requests - records.size}, all aborted before they came`,
    requests - records.size <= of('aborted') && [...told.keys()].every((id) => records.has(id)),
  ],
  ['failures of the server', String(last.failures), last.failures === 0],
  [
    'prompt and output tokens',
    `${formatCount(sum([...told.values()].map((usage) => usage.prompt_tokens)))}, ${formatCount(sum([...told.values()].map((usage) => usage.completion_tokens)))}`,
    told.size === of('answered'),
  ],
  ['requests whose tokens differ between client and server', String(differ.length), differ.length === 0],
  ['tokens of the engine that no request accounts for', formatCount(unaccounted), unaccounted === 0],
  ['KV blocks in use at the end', `${last.counts.blocksUsed} of ${last.counts.blocks}`, last.counts.blocksUsed === 0],
  ['preemptions', formatCount(last.counts.preemptions), last.counts.preemptions > 0],
  ['prompt tokens from the prefix cache', formatCount(last.counts.cachedTokens), last.counts.cachedTokens > 0],
  ['heap after a collection, once warm', range((sample) => sample.heap), growth((sample) => sample.heap) <= FLAT],
  ['resident, once warm', range((sample) => sample.rss), growth((sample) => sample.rss) <= FLAT],
];
process.stdout.write(
  `${renderTable(
    [
      { heading: 'what', text: ([what]) => what },
      { heading: 'found', text: ([, found]) => found, align: 'right' },
      { heading: '', text: ([, , holds]) => (holds ? 'holds' : 'DOES NOT HOLD') },
    ],
    checks,
  )}\n${seconds.toFixed(1)} s, ${(requests / seconds).toFixed(0)} requests/s, client and server on one machine\n`,
);
process.exitCode = checks.every(([, , holds]) => holds) ? 0 : 1;
