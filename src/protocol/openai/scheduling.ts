// How urgent a request is, and how long it may take: not OpenAI's. Body fields, so that every client can send them as it sends
// unknown ones, and the headers of the Kubernetes Gateway API's inference extension for what stands in between.

import { Type } from 'typebox';
import { seconds, type Seconds } from '../../core/index.ts';
import { badValue } from './body.ts';

/** Levels beyond are of no use: each is worth seconds of waiting. */
const MOST_LEVEL = 10;
const DAY_MS = 86_400_000;

const milliseconds = Type.Number({ exclusiveMinimum: 0, maximum: DAY_MS });
const TARGET = `milliseconds above 0, at most ${DAY_MS}`;

export const schedulingFields = {
  /** As in vLLM: the smaller goes first, 0 is usual. */
  priority: Type.Optional(
    Type.Integer({
      minimum: -MOST_LEVEL,
      maximum: MOST_LEVEL,
      description: `a whole number from -${MOST_LEVEL} to ${MOST_LEVEL}`,
    }),
  ),
  /** From the request's arrival to the end of its answer. */
  deadline_ms: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: DAY_MS, description: TARGET })),
  slo: Type.Optional(
    Type.Object(
      { ttft_ms: Type.Optional(milliseconds), tpot_ms: Type.Optional(milliseconds) },
      { additionalProperties: false, description: `an object with ttft_ms and tpot_ms, each ${TARGET}` },
    ),
  ),
};

/** What a request says of its urgency, of several places in one. */
export interface Scheduling {
  readonly priority: number;
  /** After its arrival. */
  readonly deadline?: Seconds;
  readonly ttft?: Seconds;
  readonly tpot?: Seconds;
}

export interface SchedulingBody {
  readonly priority?: number;
  readonly deadline_ms?: number;
  readonly slo?: { readonly ttft_ms?: number; readonly tpot_ms?: number };
}

const HEADERS = { ttft: 'x-slo-ttft-ms', tpot: 'x-slo-tpot-ms' } as const;

/**
 * The body's word goes before a header's.
 * @param headers with lower-case names
 * @throws ApiError 400
 */
export function parseScheduling(
  { priority = 0, deadline_ms, slo = {} }: SchedulingBody,
  headers: Readonly<Record<string, string>>,
): Scheduling {
  const target = (name: 'ttft' | 'tpot', inBody: number | undefined): { [key in typeof name]?: Seconds } => {
    const header = headers[HEADERS[name]];
    const given = inBody ?? (header === undefined ? undefined : Number(header));
    if (given === undefined) return {};
    if (!(given > 0 && given <= DAY_MS)) throw badValue(HEADERS[name], TARGET, header);
    return { [name]: seconds(given / 1000) };
  };
  return {
    priority,
    ...(deadline_ms === undefined ? {} : { deadline: seconds(deadline_ms / 1000) }),
    ...target('ttft', slo.ttft_ms),
    ...target('tpot', slo.tpot_ms),
  };
}
