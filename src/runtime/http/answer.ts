// From an engine's events to a response, whole or streamed; what differs between endpoints is passed in.

import {
  SSE_DONE,
  sseError,
  type ChunkWriter,
  type FinishReason,
  type StreamHead,
  type TimeInfo,
  type Usage,
} from '../../protocol/index.ts';
import type { FinishEvent, TokenEvent, TokenReport } from '../engine-request.ts';
import { apiErrorOf } from './failure.ts';
import { timeInfoOf, usageOf } from './time-info.ts';

/** What an answer is to be made of. */
export interface AnswerPlan<Logprobs> {
  readonly head: StreamHead;
  /** Answers expected: prompts × n. */
  readonly choices: number;
  readonly promptTokens: number;
  /** What simulated times rest on, if there are any. */
  readonly basis: string | undefined;
  readonly promptParam: 'messages' | 'prompt';
  /** Text that goes before a choice's own, where the prompt is echoed. */
  readonly opening: (choice: number) => string;
  /** Absent where the client did not ask. `offset` is the length of the choice's text so far. */
  readonly logprobs?: (tokens: readonly TokenReport[], offset: number) => Logprobs;
  /** Hears the end of each answer. */
  readonly finished: (event: FinishEvent) => void;
}

export interface WholeChoice {
  readonly index: number;
  readonly text: string;
  readonly tokens: readonly TokenReport[];
  readonly reason: FinishReason;
}

export interface WholeAnswer {
  readonly choices: readonly WholeChoice[];
  readonly usage: Usage;
  readonly times: TimeInfo;
}

/** Read every event, then answer at once. */
export async function wholeAnswer(events: AsyncIterable<TokenEvent>, plan: AnswerPlan<unknown>): Promise<WholeAnswer> {
  const choices = Array.from({ length: plan.choices }, (_, index) => ({
    index,
    text: plan.opening(index),
    tokens: [] as TokenReport[],
    reason: 'stop' as FinishReason,
  }));
  const finished: FinishEvent[] = [];
  for await (const event of events) {
    const choice = choices[event.choice];
    if (event.kind === 'tokens') {
      choice.text += event.text;
      choice.tokens.push(...event.tokens);
    } else {
      choice.reason = event.reason;
      finished.push(event);
      plan.finished(event);
    }
  }
  return {
    choices,
    usage: usageOf(plan.promptTokens, finished),
    times: timeInfoOf(finished, plan.head.created, plan.basis),
  };
}

/**
 * Server-sent events of an answer. Waits for the first event, so that a request that fails before it has a
 * token gets a status that clients understand and retry. Later failures are an error event and then a throw: the
 * connection must be cut, because a clean end looks like a whole answer.
 * @param openEach whether a choice begins with a chunk of its own even without an opening text
 */
export async function streamAnswer<Logprobs>(
  events: AsyncIterable<TokenEvent>,
  plan: AnswerPlan<Logprobs>,
  chunks: ChunkWriter<Logprobs>,
  openEach: boolean,
): Promise<AsyncIterable<string>> {
  const iterator = events[Symbol.asyncIterator]();
  const first = await iterator.next();
  return stream(resume(first, iterator), plan, chunks, openEach);
}

/** An iteration whose first value has been taken. */
async function* resume<T>(first: IteratorResult<T>, iterator: AsyncIterator<T>): AsyncIterable<T> {
  try {
    for (let next = first; next.done !== true; next = await iterator.next()) yield next.value;
  } finally {
    await iterator.return?.();
  }
}

async function* stream<Logprobs>(
  events: AsyncIterable<TokenEvent>,
  plan: AnswerPlan<Logprobs>,
  chunks: ChunkWriter<Logprobs>,
  openEach: boolean,
): AsyncIterable<string> {
  const { includeUsage, created } = plan.head;
  const finished: FinishEvent[] = [];
  const offsets: number[] = [];
  try {
    for (let choice = 0; choice < plan.choices; choice++) {
      const opening = plan.opening(choice);
      offsets.push(opening.length);
      if (openEach || opening !== '') yield chunks.open(choice, opening);
    }
    for await (const event of events) {
      const { choice } = event;
      if (event.kind === 'finish') {
        finished.push(event);
        plan.finished(event);
        const last = finished.length === plan.choices && !includeUsage;
        yield chunks.finish(choice, event.reason, last ? timeInfoOf(finished, created, plan.basis) : undefined);
      } else if (event.text !== '' || plan.logprobs !== undefined) {
        yield chunks.text(choice, event.text, plan.logprobs?.(event.tokens, offsets[choice]));
        offsets[choice] += event.text.length;
      }
    }
    if (includeUsage) {
      yield chunks.usage(usageOf(plan.promptTokens, finished), timeInfoOf(finished, created, plan.basis));
    }
    yield SSE_DONE;
  } catch (error) {
    yield sseError(apiErrorOf(error, plan.promptParam));
    throw error;
  }
}
