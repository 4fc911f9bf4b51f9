// What the processes of the decode bench say to each other. Each contender runs in a process of its own and is
// told what to do when it is its turn; between turns it is idle.

/** Work to do once. */
export type Turn =
  /** Process `tokens` prompt tokens from an empty cache, up to the logits of the last. */
  | { readonly kind: 'prefill'; readonly tokens: number }
  /** After a prompt of 4 tokens, produce `tokens` tokens greedily, one per step. */
  | { readonly kind: 'decode'; readonly tokens: number }
  /** The same with `sequences` of them in every step; `tokens` counts those of all. */
  | { readonly kind: 'batch'; readonly tokens: number; readonly sequences: number };

export interface TurnResult {
  readonly tokensPerSecond: number;
  /** By the CPU time of the whole process: at one thread the same, but for what other processes take of the machine. */
  readonly tokensPerCpuSecond: number;
}

/** Sent by a contender that has loaded its model. */
export interface Ready {
  readonly ready: string;
}

/** Peak resident memory of the process so far, sent on request. */
export interface PeakMemory {
  readonly peakBytes: number;
}

export type ToContender = Turn | { readonly kind: 'memory' };
export type FromContender = Ready | TurnResult | PeakMemory;

/** Token ids of a prompt: the same for everybody, spread over the vocabulary. */
export const prompt = (tokens: number, vocab: number, first = 0): number[] =>
  Array.from({ length: tokens }, (_, i) => 3 + (((first + i) * 7919 + 101) % (vocab - 3)));

/** Tokens of the prompt before the decode turn. */
export const decodePrompt = 4;
/** Sequences of the largest batch. */
export const mostSequences = 32;

/** Serve turns until the parent goes away. */
export function contend(ready: string, run: (turn: Turn) => Promise<TurnResult>): void {
  const send = (message: FromContender): void => void process.send?.(message);
  process.on('message', (message: ToContender) => {
    // Linux reports kilobytes of 1,024 bytes.
    if (message.kind === 'memory') send({ peakBytes: process.resourceUsage().maxRSS * 1024 });
    else void run(message).then(send);
  });
  process.on('disconnect', () => process.exit(0));
  send({ ready });
}

export const timed = async (tokens: number, work: () => Promise<void>): Promise<TurnResult> => {
  const start = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return {
    tokensPerSecond: (1e3 * tokens) / (performance.now() - start),
    tokensPerCpuSecond: (1e6 * tokens) / (user + system),
  };
};
