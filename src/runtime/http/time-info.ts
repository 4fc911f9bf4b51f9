import type { Seconds } from '../../core/index.ts';
import { tpot, type TimeInfo, type Timeline, type TimeSpans, type Usage } from '../../protocol/index.ts';
import type { FinishEvent } from '../engine-request.ts';

/** Below this the clock is noise, so it is not shown: a microsecond here, a nanosecond of simulated time. */
const SERVER_DIGITS = 6;
const WAFER_DIGITS = 9;

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

const earliest = (times: readonly (Seconds | undefined)[]): number => Math.min(...times.filter((t) => t !== undefined));

/** Spans of a request over all its answers: first started, first token of any, last token of all; without tokens, until done. */
function spansOf(timelines: readonly Timeline[], digits: number): TimeSpans {
  const sent = earliest(timelines.map((t) => t.sent));
  const started = earliest(timelines.map((t) => t.started));
  const first = earliest(timelines.map((t) => t.tokens.at(0) ?? t.done));
  const last = Math.max(...timelines.map((t) => t.tokens.at(-1) ?? t.done ?? 0));
  return {
    queue_time: round(started - sent, digits),
    prompt_time: round(first - started, digits),
    completion_time: round(last - first, digits),
    total_time: round(last - sent, digits),
  };
}

/** Output tokens per second for one user: 1 / mean TPOT; null where no answer has two tokens. */
function tokensPerSecond(timelines: readonly Timeline[]): number | null {
  const each = timelines.map(tpot).filter((time) => time !== undefined);
  const total = each.reduce((sum, time) => sum + time, 0);
  return total > 0 ? round(each.length / total, 3) : null;
}

/**
 * @param finished one event per answer of the request, at least one
 * @param created Unix seconds
 * @param basis what the simulated times rest on
 * @param coalescing longest that a streamed token waited for others
 */
export function timeInfoOf(
  finished: readonly FinishEvent[],
  created: number,
  basis: string | undefined,
  coalescing: Seconds | undefined,
): TimeInfo {
  const wafer = finished.map((event) => event.wafer).filter((timeline) => timeline !== undefined);
  return {
    ...spansOf(
      finished.map((event) => event.timeline),
      SERVER_DIGITS,
    ),
    created,
    ...(coalescing === undefined ? {} : { coalesce_ms: coalescing * 1000 }),
    ...(basis === undefined || wafer.length === 0
      ? {}
      : { simulated_wafer: { ...spansOf(wafer, WAFER_DIGITS), tokens_per_second: tokensPerSecond(wafer), basis } }),
  };
}

/** @param reasoningTokens generated tokens that are thoughts */
export function usageOf(promptTokens: number, finished: readonly FinishEvent[], reasoningTokens: number): Usage {
  const accepted = finished.reduce((sum, event) => sum + event.accepted, 0);
  const drafted = finished.reduce((sum, event) => sum + event.drafted, 0);
  const generated = finished.reduce((sum, event) => sum + event.generated, 0);
  const cached = finished.reduce((sum, event) => sum + event.cached, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: generated,
    total_tokens: promptTokens + generated,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: {
      reasoning_tokens: reasoningTokens,
      accepted_prediction_tokens: accepted,
      rejected_prediction_tokens: drafted - accepted,
    },
  };
}
