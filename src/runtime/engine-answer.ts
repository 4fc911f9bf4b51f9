// One answer in progress: its sequence, its own randomness, what of its text is shown, and when.

import { createRng, type IngotError, type Seconds } from '../core/index.ts';
import type { Timeline } from '../protocol/index.ts';
import { adjustable, logprobsIn } from './adjustable-logits.ts';
import type { EngineRequest, FinishEvent, RequestAccount, TokenEvent, TokenReport } from './engine-request.ts';
import { createTextGate, type TextGate } from './engine-text.ts';
import type { Logits } from './executor/executor.ts';
import type { LogitsProcessor } from './logits-processor.ts';
import { createPool, type Pool } from './pooling.ts';
import { createDraws, sampleLogits, type Draws } from './sampler.ts';
import { appendToken, createSequence, generated, type Sequence } from './sequence.ts';

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
  /** Its number within its prompt. */
  readonly among: number;
  readonly draws: Draws;
  readonly gate: TextGate<TokenReport>;
  /** To its reader. */
  readonly tell: (event: TokenEvent) => void;
  readonly processor: LogitsProcessor | undefined;
  /** Takes hidden states where it is to be an embedding. */
  readonly pool: Pool | undefined;
  /** Its prompt's tokens with their log probabilities, as far as they were computed; undefined where nobody asked. */
  readonly promptReports: TokenReport[] | undefined;
  /** All tokens so far, which a processor may look at; not kept without one. */
  readonly history: number[];
  /** Text that it may repeat, for a drafter. */
  readonly prediction: Int32Array | undefined;
  readonly times: { readonly server: Times; readonly wafer: Times };
  drafted: number;
  accepted: number;
  /** Its share of the simulated steps so far. */
  waferSeconds: number;
  waferJoules: number;
  /** It holds nothing any more; the rest of a running step must pass it over. */
  ended: boolean;
}

/** Logits of the whole vocabulary are a megabyte and less, so some tens of them at once. */
const PROMPT_LOGITS = 64;

/** Tokens of its prompt have still to be told of. */
export const readsPrompt = ({ promptReports, promptTokens }: Answer): boolean =>
  promptReports !== undefined && promptReports.length < promptTokens;

/**
 * Note what the model says of the prompt's own tokens.
 * @param start position of the first of `logits`; what is known already is passed over
 */
export function notePrompt(answer: Answer, start: number, logits: readonly Logits[], vocab: number): void {
  const { promptReports, promptTokens, tokens, request } = answer;
  if (promptReports === undefined) return;
  for (const [i, of] of logits.entries()) {
    const next = start + i + 1;
    if (next !== promptReports.length || next >= promptTokens) continue;
    const token = tokens[next];
    promptReports.push({ token, ...logprobsIn(of, vocab, token, request.promptLogprobs ?? 0) });
  }
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
    tell,
  }: {
    readonly id: number;
    readonly prompt: Int32Array;
    readonly maxTokens: number;
    readonly choice: number;
    readonly among: number;
    readonly now: Moment;
    readonly tell: (event: TokenEvent) => void;
  },
): Answer {
  const { priority = 0, tenant = '', weight = 1, cacheSalt: salt = '', targets } = request;
  const standing = {
    arrived: now.server,
    priority,
    tenant,
    weight,
    salt,
    ...(targets === undefined ? {} : { targets }),
    isComputedWhole: request.embed === 'mean' || request.promptLogprobs !== undefined,
    ...(request.promptLogprobs === undefined ? {} : { mostStepTokens: PROMPT_LOGITS }),
  };
  return {
    ...createSequence(id, prompt, maxTokens, standing),
    request,
    choice,
    among,
    // By its number within the prompt, so that the first of several choices equals the only one of a single.
    draws: createDraws(createRng(request.seed).fork(`choice ${among}`)),
    gate: createTextGate<TokenReport>(request.decoder?.(), request.stop ?? [], (text, tokens) => {
      if (text !== '' || tokens.length > 0) tell({ kind: 'tokens', choice, text, tokens });
    }),
    tell,
    processor: request.processor?.(prompt),
    promptReports: request.promptLogprobs === undefined ? undefined : [{ token: prompt[0] }],
    pool: request.embed && createPool(request.embed),
    history: [],
    prediction: request.prediction && Int32Array.from(request.prediction),
    times: {
      server: { sent: request.sent ?? now.server, queued: now.server, tokens: [] },
      // A request that comes during a step waits, on the wafer too, until the step is over.
      wafer: { sent: now.wafer, queued: now.wafer, tokens: [] },
    },
    drafted: 0,
    accepted: 0,
    waferSeconds: 0,
    waferJoules: 0,
    ended: false,
  };
}

export function markStarted({ times }: Answer, now: Moment): void {
  times.server.started ??= now.server;
  times.wafer.started ??= now.wafer;
}

/**
 * Sample the next token, record it, and tell what may be shown.
 * @param vocab tokens that logits can be of
 * @returns why the answer ends, if it does
 * @throws IngotError LOGITS_INVALID
 */
export function acceptLogits(
  answer: Answer,
  logits: Logits,
  vocab: number,
  now: Moment,
): 'stop' | 'length' | undefined {
  const { gate, times, maxTokens } = answer;
  const { logprobs, eos } = answer.request;
  const token = draw(answer, logits, vocab);
  const complete = answer.processor?.accept(token) ?? false;
  appendToken(answer, token);
  times.server.tokens.push(now.server);
  times.wafer.tokens.push(now.wafer);

  if (eos?.includes(token) === true) {
    gate.flush();
    return 'stop';
  }
  const report: TokenReport =
    logprobs === undefined ? { token } : { token, ...logprobsIn(logits, vocab, token, logprobs) };
  if (gate.push(token, report)) return 'stop';
  if (!complete && generated(answer) < maxTokens) return undefined;
  const isStopped = gate.flush();
  return complete || isStopped ? 'stop' : 'length';
}

function draw({ processor, history, draws, request: { sampling } }: Answer, logits: Logits, vocab: number): number {
  if (processor === undefined) return sampleLogits(logits, sampling, draws);
  // The executor's array is reported from below, so it stays as it is.
  const adjusted = adjustable(logits, vocab);
  processor.adjust(adjusted, history);
  const token = adjusted.sample(sampling, draws);
  history.push(token);
  return token;
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
    generated: generated(answer),
    ...(answer.pool === undefined ? {} : { embedding: answer.pool.vector() }),
    cached: answer.among === 0 ? (answer.found ?? 0) : 0,
    drafted: answer.drafted,
    accepted: answer.accepted,
    timeline: timeline('server'),
    ...(simulated ? { wafer: timeline('wafer') } : {}),
  };
}

/**
 * What the answers of one request took.
 * @param failure why it ended before it was complete
 */
export function accountOf(answers: readonly Answer[], failure: IngotError | undefined): RequestAccount {
  const sum = (of: (answer: Answer) => number): number => answers.reduce((total, answer) => total + of(answer), 0);
  const { choices = 1 } = answers[0].request;
  const begun = answers.filter(({ times }) => times.server.started !== undefined);
  // Choices of one prompt share it.
  const prompts = new Map(begun.map((answer) => [Math.floor(answer.choice / choices), answer.promptTokens]));
  return {
    outcome: failure === undefined ? 'complete' : failure.code === 'REQUEST_CANCELLED' ? 'cancelled' : 'failed',
    promptTokens: [...prompts.values()].reduce((total, tokens) => total + tokens, 0),
    cachedTokens: sum((answer) => (answer.among === 0 ? (answer.found ?? 0) : 0)),
    generatedTokens: sum(generated),
    waferSeconds: sum((answer) => answer.waferSeconds),
    waferJoules: sum((answer) => answer.waferJoules),
  };
}
