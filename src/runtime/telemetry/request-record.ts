// What is known of one HTTP request when it is over: metrics, logs, traces and usage all derive from this record, so
// that they cannot disagree, and so that a token in flight costs them one addition.

import { seconds, type Seconds } from '../../core/index.ts';
import type { Engine } from '../engine.ts';
import type { EngineRequest, FinishEvent, RequestAccount, TokenEvent } from '../engine-request.ts';
import type { ServedModel } from '../http/served-model.ts';
import type { HardwareModel } from './hardware-model.ts';

/** `refused`: by a rule, status below 500; `cancelled`: the client left; `failed`: by the server's fault. */
export type Outcome = 'ok' | 'refused' | 'cancelled' | 'failed';

interface Span {
  readonly from: Seconds;
  readonly to: Seconds;
}

export interface RequestRecord {
  /** As in `x-request-id`. */
  readonly id: string;
  readonly method: string;
  /** The route's name, such as `/v1/models/{id}`; `unknown` where there is none. */
  readonly route: string;
  /** Of the response's head; a stream that fails later has 200. */
  readonly status: number;
  readonly outcome: Outcome;
  /** Code of the error, if there was one. */
  readonly code?: string;
  readonly received: Seconds;
  readonly ended: Seconds;
  /** What it asked of a model; absent where it came to none. */
  readonly asked?: AskedOfModel;
  /** What its model did for it, whether anybody read that or not; absent where its model did nothing. */
  readonly account?: RequestAccount;
  /** The ends of its answers, as far as they ended. */
  readonly answers: readonly FinishEvent[];
  /** On the clock of the model's simulated wafer; absent where no model was asked. */
  readonly wafer?: Span;
  /** The headers that traces come with, as they came. */
  readonly traceparent?: string;
  readonly tracestate?: string;
  /** The request's body, only where the API was told to keep it. */
  readonly body?: string;
}

export interface AskedOfModel {
  readonly model: string;
  /** In the words of OpenTelemetry's conventions. */
  readonly operation: 'chat' | 'text_completion' | 'embeddings';
  readonly stream: boolean;
  readonly request: EngineRequest;
  readonly promptTokens: number;
  /** What simulated times rest on, and the machine that they are of. */
  readonly basis?: string;
  readonly hardware?: HardwareModel;
}

export type SentToModel = Pick<AskedOfModel, 'operation' | 'stream' | 'request'>;

/** One request while it is answered. */
export interface RequestTrack {
  /** Just before the engine is given the request. */
  asked(model: ServedModel, what: SentToModel): void;
  heard(event: TokenEvent): void;
  /** The engine is done with it. */
  accounted(account: RequestAccount): void;
}

export interface OpenRecord extends RequestTrack {
  /** Close it; later calls change nothing. @returns the record, the first time */
  end(how: Pick<RequestRecord, 'status' | 'outcome' | 'ended' | 'code'>): RequestRecord | undefined;
}

export function openRecord(
  begun: Pick<RequestRecord, 'id' | 'method' | 'route' | 'received' | 'traceparent' | 'tracestate' | 'body'>,
): OpenRecord {
  let asked: AskedOfModel | undefined;
  let engine: Engine | undefined;
  let waferFrom = seconds(0);
  let account: RequestAccount | undefined;
  let ended = false;
  const answers: FinishEvent[] = [];
  /** From when the first answer was sent to when the last was done, or until now where some did not end. */
  const waferSpan = (): { wafer?: Span } => {
    if (engine?.waferBasis === undefined || asked === undefined) return {};
    const expected = asked.request.prompts.length * (asked.request.choices ?? 1);
    const done = answers.map((answer) => answer.wafer?.done ?? waferFrom);
    const to = done.length < expected ? engine.counts.waferSeconds : Math.max(...done);
    return { wafer: { from: waferFrom, to: seconds(Math.max(waferFrom, to)) } };
  };
  return {
    asked(model, what) {
      const promptTokens = what.request.prompts.reduce((sum, prompt) => sum + prompt.length, 0);
      const { id, hardware } = model;
      engine = model.engine;
      const { waferBasis: basis } = engine;
      asked = {
        ...what,
        model: id,
        promptTokens,
        ...(basis === undefined ? {} : { basis }),
        ...(hardware === undefined ? {} : { hardware }),
      };
      waferFrom = seconds(engine.counts.waferSeconds);
    },
    heard(event) {
      if (event.kind === 'finish') answers.push(event);
    },
    accounted(given) {
      account = given;
    },
    end(how) {
      if (ended) return undefined;
      ended = true;
      return {
        ...begun,
        ...how,
        ...(asked === undefined ? {} : { asked }),
        ...(account === undefined ? {} : { account }),
        answers,
        ...waferSpan(),
      };
    },
  };
}
