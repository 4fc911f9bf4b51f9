// One answer in progress: its sequence, its own randomness, what of its text is shown, and when.

import { createRng, type Rng, type Seconds } from '../core/index.ts';
import type { Timeline } from '../protocol/index.ts';
import type { EngineRequest, FinishEvent, TokenReport } from './engine-request.ts';
import { createTextGate, type Shown, type TextGate } from './engine-text.ts';
import type { LogitsProcessor } from './logits-processor.ts';
import { logprobsOf, sample } from './sampler.ts';
import { createSequence, type Sequence } from './sequence.ts';

/** Both clocks at one moment. The wafer's stands still while no step is simulated. */
export interface Moment {
  readonly server: Seconds;
  readonly wafer: Seconds;
}

/** A timeline that is still being written. */
interface Times {
  readonly sent: Seconds;
  readonly queued: Seconds;
  started?: Seconds;
  readonly tokens: Seconds[];
}

export interface Answer extends Sequence {
  readonly request: EngineRequest;
  readonly choice: number;
  readonly rng: Rng;
  readonly gate: TextGate<TokenReport> | undefined;
  readonly processor: LogitsProcessor | undefined;
  /** All tokens so far, which a processor may look at; not kept without one. */
  readonly history: number[];
  readonly times: { readonly server: Times; readonly wafer: Times };
  /** It holds nothing any more; the rest of a running step must pass it over. */
  ended: boolean;
}

/**
 * @param prompt its token ids, which choices of one prompt share
 * @param choice its number within the request; `among` its number within its prompt
 */
export function createAnswer(
  request: EngineRequest,
  {
    id,
    prompt,
    maxTokens,
    choice,
    among,
    now,
  }: {
    readonly id: number;
    readonly prompt: Int32Array;
    readonly maxTokens: number;
    readonly choice: number;
    readonly among: number;
    readonly now: Moment;
  },
): Answer {
  return {
    ...createSequence(id, prompt, maxTokens),
    request,
    choice,
    // By its number within the prompt, so that the first of several choices equals the only one of a single.
    rng: createRng(request.seed).fork(`choice ${among}`),
    gate: request.decoder && createTextGate<TokenReport>(request.decoder(), request.stop ?? []),
    processor: request.processor?.(prompt),
    history: [],
    times: {
      server: { sent: request.sent ?? now.server, queued: now.server, tokens: [] },
      // A request that comes during a step waits, on the wafer too, until the step is over.
      wafer: { sent: now.wafer, queued: now.wafer, tokens: [] },
    },
    ended: false,
  };
}

export function markStarted({ times }: Answer, now: Moment): void {
  times.server.started ??= now.server;
  times.wafer.started ??= now.wafer;
}

/**
 * Sample the next token and record it.
 * @param logits [vocab]
 * @returns what may be shown now, in order, and why the answer ends, if it does
 * @throws IngotError LOGITS_INVALID
 */
export function acceptLogits(
  answer: Answer,
  logits: Float32Array,
  now: Moment,
): { readonly shown: readonly Shown<TokenReport>[]; readonly ends?: 'stop' | 'length' } {
  const { gate, times, maxTokens, processor, history } = answer;
  const { sampling, logprobs, eos } = answer.request;
  let adjusted = logits;
  if (processor !== undefined) {
    // The executor's array is reported from below, so it stays as it is.
    adjusted = logits.slice();
    processor.adjust(adjusted, history);
  }
  const token = sample(adjusted, sampling, answer.rng);
  const complete = processor?.accept(token) === true;
  if (processor !== undefined) history.push(token);
  answer.newest[0] = token;
  answer.generated++;
  times.server.tokens.push(now.server);
  times.wafer.tokens.push(now.wafer);

  if (eos?.includes(token) === true) return { shown: gate === undefined ? [] : [gate.flush()], ends: 'stop' };
  const last = complete || answer.generated === maxTokens;
  const report: TokenReport = logprobs === undefined ? { token } : { token, ...logprobsOf(logits, token, logprobs) };
  const shown = [gate?.push(token, report) ?? { text: '', tokens: [report], stopped: false }];
  if (!shown[0].stopped && last && gate !== undefined) shown.push(gate.flush());
  if (complete || shown.some(({ stopped }) => stopped)) return { shown, ends: 'stop' };
  return last ? { shown, ends: 'length' } : { shown };
}

/** The last event of an answer. */
export function finishEvent(answer: Answer, reason: 'stop' | 'length', now: Moment, simulated: boolean): FinishEvent {
  const timeline = (pointOfView: 'server' | 'wafer'): Timeline => ({
    pointOfView,
    ...answer.times[pointOfView],
    done: now[pointOfView],
  });
  return {
    kind: 'finish',
    choice: answer.choice,
    reason,
    generated: answer.generated,
    timeline: timeline('server'),
    ...(simulated ? { wafer: timeline('wafer') } : {}),
  };
}
