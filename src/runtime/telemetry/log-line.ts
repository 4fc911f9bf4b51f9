// One line for each request that is over. No text of prompts or answers, unless prompts were asked for.

import { e2e, queueTime, tpot, ttft, type Timeline } from '../../protocol/index.ts';
import type { RequestRecord } from './request-record.ts';

export const logLevels = ['info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Characters of a prompt that go into a line. */
export const MAX_LOGGED_PROMPT = 16_384;

const levelByOutcome: Readonly<Record<RequestRecord['outcome'], LogLevel>> = {
  ok: 'info',
  cancelled: 'warn',
  refused: 'warn',
  failed: 'error',
};

export interface LogEntry {
  readonly level: LogLevel;
  /** Snake case, seconds and tokens; `undefined` where there is nothing to tell. */
  readonly fields: Readonly<Record<string, unknown>>;
}

const MICROSECOND_DIGITS = 6;
const NANOSECOND_DIGITS = 9;

/** Of what has no tokens, such as an embedding. */
const untilDone = ({ sent, done }: Timeline): number | undefined => (done === undefined ? undefined : done - sent);

/** Of all answers: the first token's time, the last one's, and the mean gap. */
function timesOf(timelines: readonly Timeline[], digits: number): Record<string, number> | undefined {
  if (timelines.length === 0) return undefined;
  const each = (of: (timeline: Timeline) => number | undefined): number[] =>
    timelines.map(of).filter((value) => value !== undefined);
  const gaps = each(tpot);
  const first = each(ttft);
  const round = (value: number): number => Number(value.toFixed(digits));
  return {
    queue_seconds: round(Math.min(...each(queueTime))),
    ...(first.length === 0 ? {} : { time_to_first_token_seconds: round(Math.min(...first)) }),
    answer_seconds: round(Math.max(...each((timeline) => e2e(timeline) ?? untilDone(timeline)))),
    ...(gaps.length === 0
      ? {}
      : { time_per_output_token_seconds: round(gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length) }),
  };
}

export function logEntryOf(record: RequestRecord): LogEntry {
  const { id, method, route, status, outcome, code, received, ended, asked, answers, account, body } = record;
  const wafer = answers.map((answer) => answer.wafer).filter((timeline) => timeline !== undefined);
  return {
    level: levelByOutcome[outcome],
    fields: {
      time: new Date(ended * 1000).toISOString(),
      level: levelByOutcome[outcome],
      message: 'request',
      request_id: id,
      method,
      route,
      status,
      outcome,
      code,
      duration_seconds: Number(Math.max(0, ended - received).toFixed(MICROSECOND_DIGITS)),
      ...(asked === undefined
        ? {}
        : {
            model: asked.model,
            tenant: asked.request.tenant,
            stream: asked.stream,
            prompt_tokens: asked.promptTokens,
            cached_tokens: account?.cachedTokens ?? 0,
            generated_tokens: account?.generatedTokens ?? 0,
            finish_reasons: asked.operation === 'embeddings' ? undefined : answers.map(({ reason }) => reason),
            ...timesOf(
              answers.map(({ timeline }) => timeline),
              MICROSECOND_DIGITS,
            ),
            simulated_wafer: timesOf(wafer, NANOSECOND_DIGITS),
            prompt: body === undefined ? undefined : promptIn(body),
          }),
    },
  };
}

/** What was asked, as it came, cut where it is long. */
function promptIn(body: string): unknown {
  const { messages, prompt, input } = JSON.parse(body) as Record<string, unknown>;
  const given = messages ?? prompt ?? input;
  const text = JSON.stringify(given) ?? '';
  return text.length <= MAX_LOGGED_PROMPT ? given : `${text.slice(0, MAX_LOGGED_PROMPT)}…`;
}

/** For machines: one JSON object. */
export const jsonLine = ({ fields }: LogEntry): string => `${JSON.stringify(fields)}\n`;

/** For people: the same in words, unknown things left out. */
export function textLine({ level, fields }: LogEntry): string {
  const { time, level: _, message: __, method, route, status, outcome, simulated_wafer: wafer, ...rest } = fields;
  const pairs = (of: object, prefix = ''): string[] =>
    Object.entries(of)
      .filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0))
      .map(
        ([key, value]) =>
          `${prefix}${key}=${typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)}`,
      );
  const words = [
    time,
    level,
    method,
    route,
    status,
    outcome,
    ...pairs(rest),
    ...pairs((wafer as object) ?? {}, 'wafer_'),
  ];
  return `${words.join(' ')}\n`;
}
