// The serving engine: one loop of schedule → execute → commit. The same engine answers HTTP and runs in
// virtual time; which clock it reads is the caller's choice, and the wafer's clock runs beside it.
//
// What must stay true:
// - An answer that ends, for whatever reason, owns no block when its last event is pushed. Nobody else is given
//   its blocks before the next step, so cancelling in the middle of a step is safe.
// - The engine outlives any failure of the executor.
// - Idle, it does nothing: the loop ends with the last answer and starts with the next.

import { assert, fail, IngotError, seconds, type Clock } from '../core/index.ts';
import { acceptLogits, createAnswer, finishEvent, markStarted, type Answer, type Moment } from './engine-answer.ts';
import { createChannel, type Channel } from './engine-channel.ts';
import { checkRequest, contextLimit, type EngineRequest, type TokenEvent } from './engine-request.ts';
import type { Batch, Executor } from './executor/executor.ts';
import { createKvBlocks } from './kv.ts';
import { schedulers, type SchedulerName, type StepItem } from './scheduler/index.ts';
import { nextTokens } from './sequence.ts';
import type { StepModel } from './step-model.ts';

export interface EngineOptions {
  readonly executor: Executor;
  readonly clock: Clock;
  /** Simulates each step on the wafer; without it there are no wafer times. */
  readonly stepModel?: StepModel;
  readonly scheduler?: SchedulerName;
  /** Prompt tokens per step over all sequences; default all that a step may process. */
  readonly chunkSize?: number;
  /** Sequences in progress at once; default as many as a step has tokens. */
  readonly maxRunning?: number;
  /** Sequences that may wait; more are refused, so that a flood ends in errors instead of in memory. */
  readonly maxWaiting?: number;
  /** Lets others run between steps; default one turn of the event loop. Virtual runs pass a shorter one. */
  readonly pause?: () => Promise<void>;
}

const DEFAULT_MAX_WAITING = 4096;

/** What the engine holds, and has done since it was made. */
export interface EngineCounts {
  readonly waiting: number;
  readonly running: number;
  readonly blocks: number;
  readonly blocksUsed: number;
  readonly steps: number;
  readonly promptTokens: number;
  readonly generatedTokens: number;
  /** Simulated time and energy of all steps; 0 without a step model. */
  readonly waferSeconds: number;
  readonly waferJoules: number;
}

export interface Engine {
  readonly vocab: number;
  /** Longest prompt and answer together. */
  readonly maxContext: number;
  /** What the simulated times rest on; absent without a step model. */
  readonly waferBasis?: string;
  readonly counts: EngineCounts;
  /**
   * Start a request. Read the events to the end; leaving the loop early, or aborting, cancels it, and its
   * blocks are free at once.
   * @throws IngotError at once where the request could never run (see checkRequest), ENGINE_BUSY, ENGINE_CLOSED;
   *   from the iteration EXECUTOR_FAILED, LOGITS_INVALID, REQUEST_CANCELLED, ENGINE_CLOSED
   */
  submit(request: EngineRequest, signal?: AbortSignal): AsyncIterable<TokenEvent>;
  /** End every request with ENGINE_CLOSED; resolves when no step is running. The executor stays open. */
  close(): Promise<void>;
}

/** One request in progress. */
interface Call {
  readonly channel: Channel<TokenEvent>;
  readonly answers: readonly Answer[];
  unfinished: number;
  /** Stop listening for cancellation. */
  readonly release: () => void;
}

const nextTurn = (): Promise<void> =>
  new Promise((resolve) => {
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve);
  });

/** @throws IngotError ENGINE_OPTIONS_INVALID */
export function createEngine(options: EngineOptions): Engine {
  const { executor, clock, stepModel, pause = nextTurn, maxWaiting = DEFAULT_MAX_WAITING } = options;
  const { maxStepTokens } = executor;
  const { chunkSize = maxStepTokens, maxRunning = maxStepTokens } = options;
  for (const [name, value] of Object.entries({ chunkSize, maxRunning })) {
    if (Number.isSafeInteger(value) && value >= 1 && value <= maxStepTokens) continue;
    fail({
      code: 'ENGINE_OPTIONS_INVALID',
      message: `${name} is out of range`,
      where: name,
      expected: `a whole number from 1 to ${maxStepTokens}, the tokens of a step`,
      found: String(value),
    });
  }
  const kv = createKvBlocks(executor.blocks, executor.blockTokens);
  const scheduler = schedulers[options.scheduler ?? 'fcfs']<Answer>(kv, { maxStepTokens, chunkSize, maxRunning });
  const maxContext = contextLimit(executor, kv);
  const totals = { steps: 0, promptTokens: 0, generatedTokens: 0, waferSeconds: 0, waferJoules: 0 };
  const calls = new Map<EngineRequest, Call>();
  let nextId = 0;
  let closed = false;
  let loop: Promise<void> | undefined;

  const moment = (): Moment => ({ server: clock.now(), wafer: seconds(totals.waferSeconds) });

  async function run(): Promise<void> {
    // Requests that come in one turn share their first step.
    await pause();
    while (scheduler.waiting + scheduler.running > 0) {
      await step();
      await pause();
    }
    loop = undefined;
  }

  async function step(): Promise<void> {
    const items = scheduler.schedule();
    assert(items.length > 0, 'a scheduler with sequences schedules some');
    const batch = begin(items);
    let logits: readonly (Float32Array | undefined)[];
    try {
      logits = await executor.execute(batch);
    } catch (cause) {
      for (const { sequence } of items) endCall(sequence.request, failureOf(cause));
      return;
    }
    count(batch);
    commit(items, logits);
  }

  function begin(items: readonly StepItem<Answer>[]): Batch {
    const now = moment();
    return {
      items: items.map(({ sequence, tokens }) => {
        markStarted(sequence, now);
        return {
          sequence: sequence.id,
          tokens: nextTokens(sequence, tokens),
          start: sequence.computed,
          blockTable: sequence.blockTable,
          wantLogits: sequence.computed + tokens >= sequence.prompt.length,
        };
      }),
    };
  }

  function count(batch: Batch): void {
    totals.steps++;
    const cost = stepModel?.step({
      items: batch.items.map(({ tokens, start }) => ({ tokens: tokens.length, cached: start })),
    });
    totals.waferSeconds += cost?.time ?? 0;
    totals.waferJoules += cost?.energy ?? 0;
  }

  function commit(items: readonly StepItem<Answer>[], logits: readonly (Float32Array | undefined)[]): void {
    const now = moment();
    for (const [i, { sequence, tokens }] of items.entries()) {
      if (sequence.ended) continue; // Cancelled during the step.
      if (sequence.generated === 0) totals.promptTokens += tokens;
      sequence.computed += tokens;
      if (sequence.computed < sequence.prompt.length) continue;
      try {
        accept(sequence, logits[i], now);
      } catch (cause) {
        endCall(sequence.request, failureOf(cause));
      }
    }
  }

  /** Take a sequence's next token and tell its reader. */
  function accept(answer: Answer, logits: Float32Array | undefined, now: Moment): void {
    assert(logits?.length === executor.vocab, 'the executor returns the logits that were wanted');
    const { shown, ends } = acceptLogits(answer, logits, now);
    totals.generatedTokens++;
    const call = calls.get(answer.request);
    assert(call !== undefined, 'an answer that has not ended belongs to a call');
    for (const { text, tokens } of shown) {
      if (text !== '' || tokens.length > 0) call.channel.push({ kind: 'tokens', choice: answer.choice, text, tokens });
    }
    if (ends === undefined) return;
    end(answer);
    call.channel.push(finishEvent(answer, ends, now, stepModel !== undefined));
    call.unfinished--;
    if (call.unfinished === 0) endCall(answer.request);
  }

  function end(answer: Answer): void {
    if (answer.ended) return;
    answer.ended = true;
    scheduler.remove(answer);
  }

  /** End what is left of a request; with a reason, its reader sees that. */
  function endCall(request: EngineRequest, reason?: IngotError): void {
    const call = calls.get(request);
    if (call === undefined) return;
    calls.delete(request);
    for (const answer of call.answers) end(answer);
    call.release();
    call.channel.close(reason);
  }

  function refuseFlood(added: number): void {
    if (scheduler.waiting + added <= maxWaiting) return;
    fail({
      code: 'ENGINE_BUSY',
      message: `${scheduler.waiting} sequences are waiting, and ${added} more would pass the limit`,
      expected: `at most ${maxWaiting} waiting sequences`,
      suggestion: 'Try again later.',
    });
  }

  function submit(given: EngineRequest, signal?: AbortSignal): AsyncIterable<TokenEvent> {
    if (closed) fail(closing);
    // Its own object, so that one that is submitted twice is two calls.
    const request = { ...given };
    const maxTokens = checkRequest(request, executor.vocab, maxContext);
    const { choices = 1 } = request;
    refuseFlood(request.prompts.length * choices);

    const cancel = (): void => endCall(request, cancellation(signal?.reason));
    const channel = createChannel<TokenEvent>(cancel);
    if (signal?.aborted === true) {
      channel.close(cancellation(signal.reason));
      return channel;
    }
    signal?.addEventListener('abort', cancel, { once: true });
    const now = moment();
    const answers = request.prompts.flatMap((tokens, p) => {
      const prompt = Int32Array.from(tokens);
      return Array.from({ length: choices }, (_, among) =>
        createAnswer(request, {
          id: nextId++,
          prompt,
          maxTokens: maxTokens[p],
          choice: p * choices + among,
          among,
          now,
        }),
      );
    });
    const release = (): void => signal?.removeEventListener('abort', cancel);
    calls.set(request, { channel, answers, unfinished: answers.length, release });
    for (const answer of answers) scheduler.add(answer);
    loop ??= run().catch(abandonAll);
    return channel;
  }

  /** A defect in the loop itself: tell every reader rather than leave them waiting. */
  function abandonAll(cause: unknown): void {
    loop = undefined;
    for (const request of calls.keys()) endCall(request, failureOf(cause));
  }

  return {
    vocab: executor.vocab,
    maxContext,
    ...(stepModel === undefined ? {} : { waferBasis: stepModel.basis }),
    get counts() {
      const { waiting, running } = scheduler;
      return { waiting, running, blocks: kv.total, blocksUsed: kv.used, ...totals };
    },
    submit,
    async close() {
      closed = true;
      for (const request of calls.keys()) endCall(request, new IngotError(closing));
      await loop;
    },
  };
}

const closing = { code: 'ENGINE_CLOSED', message: 'the engine is closing and takes no more requests' };

/** A reason that says more than "aborted" is passed on. */
const cancellation = (reason: unknown): IngotError =>
  reason instanceof IngotError
    ? reason
    : new IngotError({ code: 'REQUEST_CANCELLED', message: 'the client cancelled the request' }, { cause: reason });

const failureOf = (cause: unknown): IngotError =>
  cause instanceof IngotError
    ? cause
    : new IngotError({ code: 'EXECUTOR_FAILED', message: 'the executor failed during a step' }, { cause });
