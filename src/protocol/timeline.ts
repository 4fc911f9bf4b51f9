// When what happened to one answer. Every latency figure derives from a Timeline, so that client, server
// and simulated wafer are measured by the same definitions.

import { seconds, type Seconds } from '../core/index.ts';

export interface Timeline {
  /** Whose clock the times are on. Times of two points of view must not be subtracted. */
  readonly pointOfView: 'client' | 'server' | 'wafer';
  /** The request left the client, or reached the server. */
  readonly sent: Seconds;
  /** It entered the engine's queue. Unknown to a client. */
  readonly queued?: Seconds;
  /** The first step that processed a token of it began. Unknown to a client. */
  readonly started?: Seconds;
  /** Each output token, in order. */
  readonly tokens: readonly Seconds[];
  /** The answer was complete. Absent where it failed or is still running. */
  readonly done?: Seconds;
}

const span = (from: Seconds, to: Seconds): Seconds => seconds(to - from);

/** Time to first token: sent to first token; undefined before there is one. */
export function ttft(timeline: Timeline): Seconds | undefined {
  const first = timeline.tokens[0];
  return first === undefined ? undefined : span(timeline.sent, first);
}

/** Inter-token latencies: each gap between successive tokens; one fewer than the tokens. */
export function itl(timeline: Timeline): Seconds[] {
  const { tokens } = timeline;
  const gaps: Seconds[] = [];
  for (let i = 1; i < tokens.length; i++) gaps.push(span(tokens[i - 1], tokens[i]));
  return gaps;
}

/** Sent to last token; equals TTFT plus the sum of the inter-token latencies. Undefined without a token. */
export function e2e(timeline: Timeline): Seconds | undefined {
  const last = timeline.tokens.at(-1);
  return last === undefined ? undefined : span(timeline.sent, last);
}

/** Time per output token: (E2E − TTFT) / (output tokens − 1); undefined for fewer than two tokens. */
export function tpot(timeline: Timeline): Seconds | undefined {
  const { tokens } = timeline;
  return tokens.length < 2 ? undefined : seconds((tokens[tokens.length - 1] - tokens[0]) / (tokens.length - 1));
}

/** Time in the queue: queued to started; undefined where either is unknown. */
export function queueTime(timeline: Timeline): Seconds | undefined {
  const { queued, started } = timeline;
  return queued === undefined || started === undefined ? undefined : span(queued, started);
}
