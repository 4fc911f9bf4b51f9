// The serving engine: one loop of schedule → execute → commit. The same engine answers HTTP and runs in
// virtual time; which clock it reads is the caller's choice, and the wafer's clock runs beside it.
//
// What must stay true:
// - An answer that ends, for whatever reason, owns no block when its last event is pushed. Nobody else is given
//   its blocks before the next step, so cancelling in the middle of a step is safe.
// - A token depends on its request alone: not on company, chunks, preemption, the prefix cache or drafts.
// - The engine outlives any failure of the executor.
// - Idle, it does nothing: the loop ends with the last answer and starts with the next.

import { assert, fail, IngotError, joules, seconds, type Clock, type Seconds } from '../core/index.ts';
import { createDeadlines } from './deadlines.ts';
import {
  acceptLogits,
  accountOf,
  createAnswer,
  finishEvent,
  markStarted,
  notePrompt,
  readsPrompt,
  type Answer,
  type Moment,
} from './engine-answer.ts';
import { createChannel, type Channel, type EventStream } from './engine-channel.ts';
import { checkRequest, contextLimit, type EngineRequest, type TokenEvent } from './engine-request.ts';
import type { Batch, Executor, Logits } from './executor/executor.ts';
import { createKvBlocks } from './kv.ts';
import { nextTurn } from './next-turn.ts';
import type { PaceCounts, Pacer } from './pace.ts';
import { createQueueEstimate } from './queue-estimate.ts';
import { createScheduler, schedulers, type SchedulerName } from './scheduler/index.ts';
import { advance, generated, nextTokens, tokensLeft } from './sequence.ts';
import type { Drafter } from './speculation/index.ts';
import { addDrafts, guess, isGuessable, NO_DRAFTS, type Guesses, type PlannedItem } from './speculation/speculate.ts';
import type { StepCost, StepModel, StepRecord, StepWork } from './step-model.ts';

export interface EngineOptions {
  readonly executor: Executor;
  readonly clock: Clock;
  /** Simulates each step on the wafer; without it there are no wafer times. */
  readonly stepModel?: StepModel;
  readonly scheduler?: SchedulerName;
  /** Reuse KV blocks with equal token history; default true. */
  readonly prefixCache?: boolean;
  /** Guesses tokens, which a step verifies together. */
  readonly drafter?: Drafter;
  /** Drafts per sequence and step; default 4. */
  readonly draftTokens?: number;
  /** Holds each step's tokens back until their simulated time; without it they go out as they come. Needs `stepModel`. */
  readonly pacer?: Pacer;
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
const DEFAULT_DRAFT_TOKENS = 4;

/** What the engine holds, and has done since it was made. */
export interface EngineCounts {
  readonly waiting: number;
  readonly running: number;
  readonly blocks: number;
  readonly blocksUsed: number;
  /** Blocks without an owner that the prefix cache keeps. */
  readonly blocksCached: number;
  readonly preemptions: number;
  readonly steps: number;
  /** Of prompts that were processed; `cachedTokens` of them were found in the prefix cache. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
  /** Tokens that went through the executor, those that preemption made it compute again and rejected drafts included. */
  readonly computedTokens: number;
  readonly draftedTokens: number;
  readonly acceptedTokens: number;
  /** Simulated time and energy of all steps; 0 without a step model. */
  readonly waferSeconds: number;
  readonly waferJoules: number;
  /** How this machine keeps the wafer's pace; absent where it does not try. */
  readonly pace?: PaceCounts;
}

export interface Engine {
  readonly vocab: number;
  /** Longest prompt and answer together. */
  readonly maxContext: number;
  /** Width of embeddings; absent where the executor has no hidden states. */
  readonly hiddenWidth?: number;
  /** What the simulated times rest on; absent without a step model. */
  readonly waferBasis?: string;
  /** Sequences held at once, waiting ones included, and tokens that all of them may have cached. */
  readonly limits: { readonly sequences: number; readonly cachedTokens: number };
  readonly counts: EngineCounts;
  /**
   * Start a request. Read the events to the end; leaving the loop early, or aborting, cancels it, and its
   * blocks are free at once.
   * @throws IngotError at once where the request could never run (see checkRequest), ENGINE_BUSY, QUEUE_TOO_LONG,
   *   ENGINE_CLOSED; from the iteration EXECUTOR_FAILED, LOGITS_INVALID, HIDDEN_STATE_INVALID, REQUEST_CANCELLED, DEADLINE_EXCEEDED, ENGINE_CLOSED
   */
  submit(request: EngineRequest, signal?: AbortSignal): EventStream<TokenEvent>;
  /** How long a request that comes now would wait for its first step, as far as answers so far tell. */
  expectedQueueTime(): Seconds;
  /** Tell of each step when it has been executed, or has failed. @returns what ends it */
  watchSteps(listener: (step: StepRecord) => void): () => void;
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

/** @throws IngotError ENGINE_OPTIONS_INVALID */
export function createEngine(options: EngineOptions): Engine {
  const { executor, clock, stepModel, drafter, pacer, pause = nextTurn, maxWaiting = DEFAULT_MAX_WAITING } = options;
  const { draftTokens = DEFAULT_DRAFT_TOKENS, prefixCache = true } = options;
  const { maxStepTokens, vocab } = executor;
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
  const scheduler = createScheduler<Answer>({
    kv,
    limits: { maxStepTokens, chunkSize, maxRunning },
    policy: schedulers[options.scheduler ?? 'fcfs'],
    context: {
      now: () => clock.now(),
      ...(stepModel === undefined ? {} : { stepModel }),
    },
    prefixCache,
  });
  const speculation = drafter && { drafter, draftTokens, maxStepTokens };
  const maxContext = contextLimit(executor, kv);
  const totals = {
    steps: 0,
    promptTokens: 0,
    cachedTokens: 0,
    generatedTokens: 0,
    computedTokens: 0,
    draftedTokens: 0,
    acceptedTokens: 0,
    waferSeconds: 0,
    waferJoules: 0,
  };
  const calls = new Map<EngineRequest, Call>();
  const deadlines = createDeadlines<EngineRequest>();
  const queue = createQueueEstimate();
  const listeners = new Set<(step: StepRecord) => void>();
  let nextId = 0;
  /** Sequences that the last step left in the queue. */
  let leftWaiting = 0;
  let closed = false;
  let loop: Promise<void> | undefined;

  const moment = (): Moment => ({ server: clock.now(), wafer: seconds(totals.waferSeconds) });

  async function run(): Promise<void> {
    // Requests that come in one turn share their first step.
    await pause();
    pacer?.begin(clock.now());
    while (calls.size > 0) {
      endOverdue();
      if (calls.size > 0) await step();
      await pause();
    }
    loop = undefined;
  }

  async function step(): Promise<void> {
    const scheduled = scheduler.schedule();
    assert(scheduled.length > 0, 'a scheduler with sequences schedules some');
    leftWaiting = scheduler.waiting;
    // From here to the batch nothing is waited for but guesses, and then who left meanwhile, and has no blocks, takes no part.
    const guesses =
      speculation !== undefined && scheduled.some((item) => isGuessable(item, speculation.drafter))
        ? await guess(scheduled, speculation)
        : undefined;
    const items = guesses === undefined ? scheduled : addDrafts(scheduled, guesses, kv);
    if (items.length === 0) return; // Everybody left while drafts were made.
    const batch = begin(items);
    const work = workOf(batch);
    const cost = price(items, guesses);
    charge(items, work, cost);
    const began = moment();
    let logits: readonly (readonly Logits[])[] | undefined;
    let failure: IngotError | undefined;
    try {
      logits = await executor.execute(batch);
    } catch (cause) {
      failure = failureOf(cause);
    }
    const executed = clock.now();
    // A step that failed too: its sequences are charged, and who left meanwhile has been told.
    count(work, cost);
    if (listeners.size > 0) tell(work, began, { server: executed, wafer: seconds(totals.waferSeconds) }, cost.busy);
    if (logits === undefined) {
      for (const { sequence } of items) endCall(sequence.request, failure);
      return;
    }
    if (pacer !== undefined) await pacer.release(cost.time, items.length);
    commit(items, logits);
  }

  function begin(items: readonly PlannedItem[]): Batch {
    const now = moment();
    return {
      items: items.map(({ sequence, tokens, cached, drafts = NO_DRAFTS }) => {
        markStarted(sequence, now);
        const { id, length, blockTable, pool } = sequence;
        const known = nextTokens(sequence, tokens - drafts.length);
        const item = {
          sequence: id,
          tokens: drafts.length === 0 ? known : Int32Array.of(...known, ...drafts),
          start: cached,
          blockTable,
          wantLogits:
            pool?.kind === 'mean' || readsPrompt(sequence)
              ? tokens
              : cached + tokens === length + drafts.length
                ? 1 + drafts.length
                : 0,
        };
        return pool === undefined ? item : { ...item, hidden: true };
      }),
    };
  }

  function tell(work: StepWork, from: Moment, to: Moment, busy: StepRecord['busy']): void {
    const record: StepRecord = {
      work,
      server: { from: from.server, to: to.server },
      wafer: { from: from.wafer, to: to.wafer },
      ...(busy === undefined ? {} : { busy }),
    };
    for (const listener of listeners) listener(record);
  }

  /** What a step takes on the wafer, the guessing before it included. */
  function price(items: readonly PlannedItem[], guesses: Guesses | undefined): StepCost {
    const cost = stepModel?.step({ items });
    return {
      time: seconds((cost?.time ?? 0) + (guesses?.time ?? 0)),
      energy: joules((cost?.energy ?? 0) + (guesses?.energy ?? 0)),
      ...(cost?.busy === undefined ? {} : { busy: cost.busy }),
    };
  }

  /** Before the step, while everybody in it is still there. */
  function charge(items: readonly PlannedItem[], work: StepWork, { time, energy }: StepCost): void {
    for (let i = 0; i < items.length; i++) {
      const { sequence, tokens } = items[i];
      const share = tokens / work.tokens;
      sequence.waferSeconds += share * time;
      sequence.waferJoules += share * energy;
    }
  }

  function count({ tokens }: StepWork, { time, energy }: StepCost): void {
    totals.steps++;
    totals.computedTokens += tokens;
    totals.waferSeconds += time;
    totals.waferJoules += energy;
  }

  function commit(items: readonly PlannedItem[], logits: readonly (readonly Logits[])[]): void {
    const now = moment();
    for (let i = 0; i < items.length; i++) {
      const { sequence, tokens, drafts = NO_DRAFTS } = items[i];
      if (sequence.ended) continue; // Cancelled during the step.
      const { pool } = sequence;
      advance(kv, sequence, tokens - drafts.length, prefixCache);
      const first = sequence.computed - logits[i].length;
      pool?.add(first, logits[i] as readonly Float32Array[]);
      if (readsPrompt(sequence)) notePrompt(sequence, first, logits[i], vocab);
      if (tokensLeft(sequence) > 0) continue;
      try {
        tellPrompt(sequence);
        if (sequence.maxTokens > 0) verify(sequence, drafts, logits[i], now);
        else {
          countPrompt(sequence);
          finish(sequence, pool === undefined ? 'length' : 'stop', now);
        }
      } catch (cause) {
        endCall(sequence.request, failureOf(cause));
      }
    }
  }

  /** Take the next token, and one more for each draft that says the same. */
  function verify(answer: Answer, drafts: readonly number[], logits: readonly Logits[], now: Moment): void {
    // A prompt that is read has more of them.
    const first = logits.length - 1 - drafts.length;
    assert(first >= 0, 'the executor returns the logits that were wanted');
    answer.drafted += drafts.length;
    totals.draftedTokens += drafts.length;
    for (let i = 0; i <= drafts.length; i++) {
      const isDraft = accept(answer, logits[first + i], now, drafts[i]);
      if (answer.ended || !isDraft) return;
      advance(kv, answer, 1, prefixCache);
    }
  }

  /**
   * Take a sequence's next token and tell its reader.
   * @returns whether it is what the draft says
   */
  function accept(answer: Answer, logits: Logits, now: Moment, draft: number | undefined): boolean {
    const ends = acceptLogits(answer, logits, vocab, now);
    const token = answer.tokens[answer.length - 1];
    totals.generatedTokens++;
    if (generated(answer) === 1) countPrompt(answer);
    if (token === draft) {
      answer.accepted++;
      totals.acceptedTokens++;
    }
    if (ends !== undefined) finish(answer, ends, now);
    return token === draft;
  }

  function tellPrompt({ tell, choice, promptReports, length, promptTokens }: Answer): void {
    if (promptReports === undefined || length > promptTokens) return;
    tell({ kind: 'prompt', choice, tokens: promptReports });
  }

  function countPrompt({ promptTokens, found = 0 }: Answer): void {
    totals.promptTokens += promptTokens;
    totals.cachedTokens += found;
  }

  /** An answer is complete: tell its reader. */
  function finish(answer: Answer, reason: 'stop' | 'length', now: Moment): void {
    const call = calls.get(answer.request);
    assert(call !== undefined, 'an answer that has not ended belongs to a call');
    const event = finishEvent(answer, reason, now, stepModel !== undefined);
    end(answer);
    queue.ended(seconds(now.server - (answer.times.server.started ?? now.server)));
    call.channel.push(event);
    call.unfinished--;
    if (call.unfinished === 0) endCall(answer.request);
  }

  function end(answer: Answer): void {
    if (answer.ended) return;
    answer.ended = true;
    scheduler.remove(answer);
    drafter?.forget(answer.id);
  }

  /** End what is left of a request; with a reason, its reader sees that. */
  function endCall(request: EngineRequest, reason?: IngotError): void {
    const call = calls.get(request);
    if (call === undefined) return;
    calls.delete(request);
    deadlines.remove(request);
    for (const answer of call.answers) end(answer);
    call.release();
    request.onEnd?.(accountOf(call.answers, reason));
    call.channel.close(reason);
  }

  function endOverdue(): void {
    const now = clock.now();
    for (let late = deadlines.overdue(now); late !== undefined; late = deadlines.overdue(now)) {
      endCall(late, new IngotError(overdue));
    }
  }

  function expectedQueueTime(): Seconds {
    const { waiting, running } = scheduler;
    // Where the last step left nobody waiting, those that came since go in with the next as far as there is room.
    const places = leftWaiting > 0 ? 0 : maxRunning - running;
    return queue.expect(waiting + 1 - places, running);
  }

  function refuseFlood(added: number, maxQueueTime: number): void {
    if (scheduler.waiting + added > maxWaiting) {
      fail({
        code: 'ENGINE_BUSY',
        message: `${scheduler.waiting} sequences are waiting, and ${added} more would pass the limit`,
        expected: `at most ${maxWaiting} waiting sequences`,
        suggestion: 'Try again later.',
      });
    }
    const expected = expectedQueueTime();
    if (expected <= maxQueueTime) return;
    fail({
      code: 'QUEUE_TOO_LONG',
      message: `the request would probably wait ${expected.toFixed(3)} s for its first step`,
      expected: `at most ${maxQueueTime} s, as the request asks`,
      found: `${expected.toFixed(3)} s, with ${scheduler.waiting} sequences waiting`,
      suggestion: 'Try again later, or allow a longer queue.',
    });
  }

  function submit(given: EngineRequest, signal?: AbortSignal): EventStream<TokenEvent> {
    if (closed) fail(closing);
    // Its own object, so that one that is submitted twice is two calls.
    const request = { ...given };
    const maxTokens = checkRequest(request, executor, maxContext);
    const { choices = 1, maxQueueTime = Infinity } = request;
    refuseFlood(request.prompts.length * choices, maxQueueTime);

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
          tell: channel.push,
        }),
      );
    });
    const release = (): void => signal?.removeEventListener('abort', cancel);
    calls.set(request, { channel, answers, unfinished: answers.length, release });
    deadlines.add(request);
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
    vocab,
    maxContext,
    ...(executor.hiddenWidth === undefined ? {} : { hiddenWidth: executor.hiddenWidth }),
    limits: { sequences: maxWaiting + maxRunning, cachedTokens: kv.total * kv.blockTokens },
    expectedQueueTime,
    ...(stepModel === undefined ? {} : { waferBasis: stepModel.basis }),
    get counts() {
      const { waiting, running, preemptions } = scheduler;
      const blocks = { blocks: kv.total, blocksUsed: kv.used, blocksCached: kv.cached };
      return { waiting, running, preemptions, ...blocks, ...totals, ...(pacer && { pace: pacer.counts }) };
    },
    submit,
    watchSteps(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      closed = true;
      for (const request of calls.keys()) endCall(request, new IngotError(closing));
      await loop;
    },
  };
}

function workOf({ items }: Batch): StepWork {
  let [tokens, cached, logits] = [0, 0, 0];
  for (let i = 0; i < items.length; i++) {
    const { start, wantLogits, hidden } = items[i];
    const { length } = items[i].tokens;
    tokens += length;
    // Behind the first of them, and one more behind each that follows.
    cached += length * start + (length * (length - 1)) / 2;
    // Pooling takes the place of logits.
    if (hidden !== true) logits += wantLogits;
  }
  return { tokens, cached, logits };
}

const overdue = {
  code: 'DEADLINE_EXCEEDED',
  message: 'the deadline of the request passed before its answer was complete',
  suggestion: 'Ask for fewer tokens or allow more time.',
};

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
