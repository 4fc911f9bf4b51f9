// Speed and peak memory of the program executor beside llama.cpp on the same weights, the 125M random llama.
//
//   node bench/decode.ts [--rounds N] [--threads 1|2] [--save | --compare]
//
// Every contender loads its model in a process of its own; then they take turns, so that all see the same machine
// within a second: memory bandwidth of a shared machine moves by a fifth from minute to minute. Medians over rounds,
// ratios as medians of the ratios within a round. The second ratio is that of tokens per second of CPU time: what the
// first would be if nobody else used the machine, at one thread (where two spin for each other it says nothing).
// --threads measures speed at that number alone. --save writes baseline.json; --compare prints the change against it.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { median, renderTable } from '../src/core/index.ts';
import { createReference } from '../src/model/index.ts';
import { filesOf, openWeightFiles } from '../src/model/index.node.ts';
import { prompt } from './contender.ts';
import type { FromContender, Turn, TurnResult } from './contender.ts';
import { benchProgram, ensureModel, folder, gguf, shape } from './model-125m.ts';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    threads: { type: 'string' },
    save: { type: 'boolean', default: false },
    compare: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const baselineFile = resolve(import.meta.dirname, 'baseline.json');
const kvTokens = 768;
/** Peak memory is stated with the KV cache of the goal. */
const memoryKvTokens = 512;

interface Contender {
  readonly ready: string;
  turn(turn: Turn): Promise<TurnResult>;
  peakBytes(): Promise<number>;
  stop(): Promise<void>;
}

async function start(script: string, args: readonly (string | number)[]): Promise<Contender> {
  const child = fork(join(import.meta.dirname, script), args.map(String), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // Without the cache of compiled code, stripping types alone takes some 25 MB.
    env: { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compile-cache') },
  });
  const ended = once(child, 'exit').then(([code]): never => {
    throw new Error(`${script} ended with ${code}`);
  });
  ended.catch(() => undefined);
  const next = async (): Promise<FromContender> => {
    const [message] = (await Promise.race([once(child, 'message'), ended])) as [FromContender];
    return message;
  };
  const message = await next();
  if (!('ready' in message)) throw new Error('a contender first says that it is ready');
  return {
    ready: message.ready,
    async turn(turn) {
      child.send(turn);
      return (await next()) as TurnResult;
    },
    async peakBytes() {
      child.send({ kind: 'memory' });
      const answer = await next();
      if (!('peakBytes' in answer)) throw new Error('expected the peak memory');
      return answer.peakBytes;
    },
    async stop() {
      const gone = once(child, 'exit');
      child.disconnect();
      await gone;
    },
  };
}

function programFile(weights: 'bf16' | 'int8'): string {
  const file = join(folder, `program-${weights}.json`);
  writeFileSync(file, JSON.stringify(benchProgram(weights)));
  return file;
}

const ingot = (weights: 'bf16' | 'int8', threads: number, tokens = kvTokens): Promise<Contender> =>
  start('contender-ingot.ts', [folder, programFile(weights), threads, tokens]);
const llamaCpp = (type: keyof typeof gguf, threads: number): Promise<Contender> =>
  start('contender-llama-cpp.ts', [gguf[type], threads, kvTokens]);

const turns: readonly Turn[] = [
  { kind: 'decode', tokens: 64 },
  { kind: 'prefill', tokens: 128 },
  { kind: 'prefill', tokens: 512 },
  { kind: 'batch', sequences: 8, tokens: 64 },
  { kind: 'batch', sequences: 32, tokens: 128 },
];
const nameOf = (turn: Turn): string =>
  turn.kind === 'batch' ? `decode, batch of ${turn.sequences}` : `${turn.kind} ${turn.tokens}`;

interface Row {
  readonly name: string;
  readonly ours: number;
  readonly peer: number | undefined;
  readonly ratio: number | undefined;
  readonly cpuRatio?: number | undefined;
  readonly goal: number | undefined;
}

/** Least ratio to the peer at one thread. */
const goals: Readonly<Record<string, number>> = {
  'bf16 decode 64, 1 thread': 1,
  'int8 decode 64, 1 thread': 1.2,
  'bf16 prefill 128, 1 thread': 0.5,
  'bf16 prefill 512, 1 thread': 0.5,
  'int8 prefill 128, 1 thread': 0.5,
  'int8 prefill 512, 1 thread': 0.5,
  'bf16 decode, batch of 8, 1 thread': 0.8,
  'int8 decode, batch of 8, 1 thread': 0.8,
};

/** The pairs take turns, round after round. */
async function compareSpeed(threads: number, withPeer: boolean): Promise<Row[]> {
  const pairs = [
    { name: 'bf16', ours: await ingot('bf16', threads), peer: withPeer ? await llamaCpp('f16', threads) : undefined },
    { name: 'int8', ours: await ingot('int8', threads), peer: withPeer ? await llamaCpp('q8_0', threads) : undefined },
  ];
  const samples = new Map<string, { ours: TurnResult; peer: TurnResult | undefined }[]>();
  for (let round = -1; round < rounds; round++) {
    for (const { name, ours, peer } of pairs) {
      for (const turn of turns) {
        // Who goes first changes, and the first round only warms up.
        const peerFirst = round % 2 === 0 ? await peer?.turn(turn) : undefined;
        const own = await ours.turn(turn);
        const theirs = peerFirst ?? (await peer?.turn(turn));
        if (round < 0) continue;
        const key = `${name} ${nameOf(turn)}, ${threads} thread${threads === 1 ? '' : 's'}`;
        samples.set(key, [...(samples.get(key) ?? []), { ours: own, peer: theirs }]);
      }
    }
  }
  const version = pairs[0].peer?.ready;
  if (version !== undefined) process.stderr.write(`${threads} thread(s): ${version}\n`);
  for (const { ours, peer } of pairs) {
    await ours.stop();
    await peer?.stop();
  }
  return [...samples].map(([name, list]) => {
    const ratioOf = (speed: keyof TurnResult): number | undefined =>
      withPeer ? median(list.map(({ ours, peer }) => ours[speed] / (peer?.[speed] ?? NaN))) : undefined;
    return {
      name,
      ours: median(list.map(({ ours }) => ours.tokensPerSecond)),
      peer: withPeer ? median(list.map(({ peer }) => peer?.tokensPerSecond ?? NaN)) : undefined,
      ratio: ratioOf('tokensPerSecond'),
      cpuRatio: threads === 1 ? ratioOf('tokensPerCpuSecond') : undefined,
      goal: goals[name],
    };
  });
}

/**
 * Peak memory after a full cache and some decoding, over the bytes of the checkpoint's weights. A first process fills
 * the cache of compiled code; without it the peak is some 12 MB higher.
 */
async function measureMemory(): Promise<Row> {
  await (await ingot('bf16', 1, memoryKvTokens)).stop();
  const contender = await ingot('bf16', 1, memoryKvTokens);
  await contender.turn({ kind: 'prefill', tokens: memoryKvTokens });
  await contender.turn({ kind: 'decode', tokens: 16 });
  const ours = (await contender.peakBytes()) / 1e6;
  await contender.stop();
  const { source } = openWeightFiles(filesOf(folder));
  const weights = source.names.reduce((sum, name) => sum + source.shape(name).reduce((a, b) => a * b, 2), 0) / 1e6;
  return {
    name: `peak memory, MB, over the weights' (bf16, ${memoryKvTokens} KV tokens)`,
    ours,
    peer: weights,
    ratio: ours / weights,
    goal: 1.3,
  };
}

/** The reference on the same weights: tokens per second over a short prompt, logits of the last token. */
function measureReference(decode: number): Row {
  const session = createReference(benchProgram('bf16').graph, openWeightFiles(filesOf(folder)).source).start();
  const all = prompt(8, shape.vocab);
  // The first token widens all weights, the next lets the engine optimize.
  for (const token of all.slice(0, 3)) session.forward([token]);
  const tokens = all.slice(3);
  const start = performance.now();
  for (const token of tokens) session.forward([token]);
  const peer = (1e3 * tokens.length) / (performance.now() - start);
  return {
    name: 'bf16 decode, 1 thread, over the reference',
    ours: decode,
    peer,
    ratio: decode / peer,
    goal: undefined,
  };
}

ensureModel();
const withPeer = existsSync(resolve(import.meta.dirname, '../.oracles/node_modules/node-llama-cpp'));
if (!withPeer) process.stderr.write('llama.cpp is not installed (node scripts/install-oracles.ts): no ratios\n');
const rows: Row[] = [];
if (options.threads === undefined) {
  const one = await compareSpeed(1, withPeer);
  rows.push(...one, ...(await compareSpeed(2, withPeer)), await measureMemory(), measureReference(one[0].ours));
} else rows.push(...(await compareSpeed(Number(options.threads), withPeer)));

interface Baseline {
  readonly machine: string;
  readonly node: string;
  readonly rows: Readonly<
    Record<string, { readonly ours: number; readonly ratio?: number; readonly cpuRatio?: number }>
  >;
}
const baseline = existsSync(baselineFile) ? (JSON.parse(readFileSync(baselineFile, 'utf8')) as Baseline) : undefined;
const change = (row: Row): string => {
  const before = baseline?.rows[row.name];
  if (!options.compare || before === undefined) return '';
  // A ratio is less a matter of the minute than a speed.
  const [now, then] =
    row.ratio === undefined || before.ratio === undefined ? [row.ours, before.ours] : [row.ratio, before.ratio];
  return `${now >= then ? '+' : ''}${((now / then - 1) * 100).toFixed(0)} %`;
};
const digits = (x: number | undefined, places: number): string => (x === undefined ? '' : x.toFixed(places));
process.stdout.write(
  `${renderTable(
    [
      { heading: 'tokens/s', text: (row: Row) => row.name },
      { heading: 'ingot', text: (row) => digits(row.ours, 1), align: 'right' },
      { heading: 'beside', text: (row) => digits(row.peer, 1), align: 'right' },
      { heading: 'ratio', text: (row) => digits(row.ratio, 2), align: 'right' },
      { heading: 'of CPU time', text: (row) => digits(row.cpuRatio, 2), align: 'right' },
      { heading: 'goal', text: (row) => digits(row.goal, 1), align: 'right' },
      ...(options.compare ? [{ heading: 'change', text: change, align: 'right' as const }] : []),
    ],
    rows,
  )}\n`,
);
if (options.save) {
  const saved: Baseline = {
    machine: cpus()[0]?.model ?? 'unknown',
    node: process.version,
    rows: Object.fromEntries(
      // What was not measured leaves no key.
      rows.map(({ name, ours, ratio, cpuRatio }) => [name, { ours, ratio, cpuRatio }]),
    ),
  };
  writeFileSync(baselineFile, `${JSON.stringify(saved, undefined, 2)}\n`);
}
