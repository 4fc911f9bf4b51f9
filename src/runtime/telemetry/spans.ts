// A request as a tree of spans: HTTP, then the model by OpenTelemetry's conventions for generative AI, then what the engine
// did, then the same on the simulated wafer down to regions and collectives. Made when the request is over, of times that
// were kept anyway. What is simulated says so, and lies where it would if the wafer had begun when the server did.

import type { Seconds } from '../../core/index.ts';
import type { Timeline } from '../../protocol/index.ts';
import type { FinishEvent } from '../engine-request.ts';
import type { AskedOfModel, RequestRecord } from './request-record.ts';

export type SpanAttributes = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export interface SpanPlan {
  readonly name: string;
  readonly kind: 'server' | 'internal';
  /** Seconds after the request was received. */
  readonly from: number;
  readonly to: number;
  readonly attributes: SpanAttributes;
  /** Why it is an error, if it is one. */
  readonly error?: string;
  readonly children: readonly SpanPlan[];
}

/** Most spans of one request; answers, regions and parts beyond are left out, and counted in an attribute. */
export const MAX_SPANS = 128;
/** Answers of one request that are shown in full, and of one answer regions and parts of a region. */
const MAX_ANSWERS = 4;
const MAX_REGIONS = 16;
const MAX_PARTS = 24;

/** Nothing below the model: no request came to one. */
export function spansOf(record: RequestRecord): SpanPlan {
  const { id, method, route, status, outcome, code, received, ended, asked } = record;
  const isError = status >= 500 || outcome === 'failed';
  return {
    name: `${method} ${route}`,
    kind: 'server',
    from: 0,
    to: Math.max(0, ended - received),
    attributes: {
      'http.request.method': method,
      'http.route': route,
      'http.response.status_code': status,
      'ingot.request.id': id,
      'ingot.outcome': outcome,
      ...(code === undefined ? {} : { 'error.type': code }),
    },
    ...(isError ? { error: code ?? 'error' } : {}),
    // Not made where nobody looks, as for a trace that is not sampled.
    get children() {
      return asked === undefined ? [] : [modelSpan(record, asked)];
    },
  };
}

function modelSpan(record: RequestRecord, asked: AskedOfModel): SpanPlan {
  const { answers, received, ended, account, outcome, code } = record;
  const { model, operation, request, promptTokens, stream } = asked;
  const { temperature, topP, topK } = request.sampling;
  const shown = answers.slice(0, MAX_ANSWERS);
  const first = Math.min(...answers.map(({ timeline }) => timeline.tokens[0] ?? Infinity));
  return {
    name: `${operation} ${model}`,
    kind: 'internal',
    // From its first queue on: what came before was reading the request.
    from: Math.max(
      0,
      Math.min(...answers.map(({ timeline }) => (timeline.queued ?? received) - received), ended - received),
    ),
    to: Math.max(0, ended - received),
    attributes: {
      'gen_ai.operation.name': operation,
      'gen_ai.provider.name': 'ingot',
      'gen_ai.request.model': model,
      'gen_ai.response.model': model,
      'gen_ai.request.stream': stream,
      'gen_ai.usage.input_tokens': promptTokens,
      'gen_ai.usage.cache_read.input_tokens': account?.cachedTokens ?? 0,
      // The conventions give an embedding none of these: nothing is drawn, and nothing ends for a reason.
      ...(operation === 'embeddings'
        ? {}
        : {
            'gen_ai.request.temperature': temperature,
            'gen_ai.request.seed': request.seed,
            'gen_ai.request.choice.count': request.choices ?? 1,
            'gen_ai.usage.output_tokens': account?.generatedTokens ?? 0,
            ...(answers.length === 0 ? {} : { 'gen_ai.response.finish_reasons': answers.map(({ reason }) => reason) }),
          }),
      ...(request.maxTokens === undefined ? {} : { 'gen_ai.request.max_tokens': request.maxTokens }),
      ...(topP === undefined ? {} : { 'gen_ai.request.top_p': topP }),
      ...(topK === undefined ? {} : { 'gen_ai.request.top_k': topK }),
      ...(request.stop === undefined || request.stop.length === 0
        ? {}
        : { 'gen_ai.request.stop_sequences': request.stop }),
      ...(stream && Number.isFinite(first) ? { 'gen_ai.response.time_to_first_chunk': first - received } : {}),
      ...(request.tenant === undefined ? {} : { 'ingot.tenant': request.tenant }),
      ...(answers.length > shown.length ? { 'ingot.answers.left_out': answers.length - shown.length } : {}),
      ...(code === undefined ? {} : { 'error.type': code }),
    },
    ...(outcome === 'failed' ? { error: code ?? 'error' } : {}),
    children: shown.flatMap((answer, i) => answerSpans(answer, asked, received, i === 0)),
  };
}

/** Queue, prefill and decode of an answer, here and on the wafer. @param isDeep with the regions that a token passes */
function answerSpans(answer: FinishEvent, asked: AskedOfModel, received: Seconds, isDeep: boolean): SpanPlan[] {
  const { choice, generated, drafted, accepted, timeline, wafer } = answer;
  const of = { 'ingot.choice': choice };
  const attributes = {
    queue: of,
    prefill: { ...of, 'ingot.cached_tokens': answer.cached },
    decode: { ...of, 'ingot.tokens': generated, 'ingot.drafted_tokens': drafted, 'ingot.accepted_tokens': accepted },
  };
  const here = phasesOf(timeline, received).map(({ name, from, to }) => span(name, from, to, attributes[name]));
  if (wafer === undefined) return here;
  // The wafer's clock stands still between steps, so it is laid beside the server's where the answer was sent.
  const origin = wafer.sent - (timeline.sent - received);
  const simulated = (
    name: string,
    from: number,
    to: number,
    more: SpanAttributes,
    children: SpanPlan[] = [],
  ): SpanPlan =>
    span(
      name,
      from,
      to,
      {
        'ingot.simulated': true,
        'ingot.simulated.start_seconds': from + origin,
        'ingot.simulated.duration_seconds': to - from,
        ...of,
        ...more,
      },
      children,
    );
  const phases = phasesOf(wafer, origin).map(({ name, from, to }) =>
    simulated(
      `wafer ${name}`,
      from,
      to,
      {},
      name === 'decode' && isDeep ? passageSpans(answer, wafer, asked, origin, simulated) : [],
    ),
  );
  const whole = phases.at(-1);
  if (whole === undefined) return here;
  const basis: SpanAttributes = asked.basis === undefined ? {} : { 'ingot.simulated.basis': asked.basis };
  return [...here, simulated('wafer', phases[0].from, whole.to, basis, phases)];
}

type Simulated = (name: string, from: number, to: number, more: SpanAttributes, children?: SpanPlan[]) => SpanPlan;

/** The first decoded token's way over the wafers, as far as it is known: as if it went alone. */
function passageSpans(
  { choice }: FinishEvent,
  { tokens }: Timeline,
  { request, hardware }: AskedOfModel,
  origin: number,
  simulated: Simulated,
): SpanPlan[] {
  if (hardware === undefined || tokens.length < 2) return [];
  const prompt = request.prompts[Math.floor(choice / (request.choices ?? 1))];
  const passage = hardware.passage(prompt.length);
  const begin = tokens[0] - origin;
  // One region with layers shows what they consist of; the others are like it.
  const opened = hardware.stages.findIndex(({ fromLayer, toLayer }) => toLayer > fromLayer);
  let at = begin;
  const regions = passage.slice(0, MAX_REGIONS).map(({ seconds, parts }, s) => {
    const { wafer, region, fromLayer, toLayer } = hardware.stages[s];
    const from = at;
    at += seconds;
    let within = from;
    const inside = s === opened ? parts.slice(0, MAX_PARTS) : [];
    return simulated(
      `region ${s}`,
      from,
      at,
      {
        'ingot.wafer': wafer,
        'ingot.region': `${region.width}x${region.height}+${region.x}+${region.y}`,
        'ingot.layers': `${fromLayer}-${toLayer}`,
      },
      inside.map((part) => {
        const start = within;
        within += part.seconds;
        const name = part.kind === 'collective' ? `all-reduce of ${part.op}` : part.op;
        return simulated(name, start, within, { 'ingot.kind': part.kind });
      }),
    );
  });
  const leftOut = passage.length - regions.length;
  return [
    simulated(
      'token',
      begin,
      at,
      { 'ingot.simulated.alone': true, ...(leftOut > 0 ? { 'ingot.regions.left_out': leftOut } : {}) },
      regions,
    ),
  ];
}

type PhaseName = 'queue' | 'prefill' | 'decode';

/** The parts of an answer's time after `origin`, as far as they were reached. */
function phasesOf(timeline: Timeline, origin: number): { name: PhaseName; from: number; to: number }[] {
  const { queued = timeline.sent, started, tokens } = timeline;
  // Without tokens, as of an embedding, the prompt is all there is.
  const [first = timeline.done, last] = [tokens.at(0), tokens.at(-1)];
  if (started === undefined || first === undefined) return [];
  const whole = [
    { name: 'queue', from: queued - origin, to: started - origin },
    { name: 'prefill', from: started - origin, to: first - origin },
  ] as const;
  return last === undefined ? [...whole] : [...whole, { name: 'decode', from: first - origin, to: last - origin }];
}

const span = (
  name: string,
  from: number,
  to: number,
  attributes: SpanAttributes,
  children: readonly SpanPlan[] = [],
): SpanPlan => ({ name, kind: 'internal', from, to, attributes, children });
