// From an engine's events to a response, whole or streamed; what differs between endpoints is passed in.

import {
  SSE_DONE,
  sseError,
  type AnswerPart,
  type ChunkWriter,
  type FinishReason,
  type StreamEnd,
  type StreamHead,
} from '../../protocol/index.ts';
import type { FinishEvent, TokenEvent, TokenReport } from '../engine-request.ts';
import { coalesced, type Coalescing } from './coalesce.ts';
import { apiErrorOf, type PromptParam } from './failure.ts';
import type { MessageReader } from './message-reader.ts';
import { timeInfoOf, usageOf } from './time-info.ts';

/** What an answer is to be made of. */
export interface AnswerPlan<Logprobs> {
  readonly head: StreamHead;
  /** Answers expected: prompts × n. */
  readonly choices: number;
  readonly promptTokens: number;
  /** What simulated times rest on, if there are any. */
  readonly basis: string | undefined;
  readonly promptParam: PromptParam;
  /** Text that goes before a choice's own, where the prompt is echoed. */
  readonly opening: (choice: number) => string;
  /** Makes what tells content, thoughts and calls of one choice apart. */
  readonly reader: () => MessageReader;
  /** Absent where the client did not ask. `offset` is the length of the choice's text so far. */
  readonly logprobs?: (tokens: readonly TokenReport[], offset: number) => Logprobs;
  /** Hears what the engine says, as it is read. */
  readonly heard: (event: TokenEvent) => void;
  /** How streamed tokens travel together; absent where each travels at once. */
  readonly coalescing?: Coalescing;
}

/** A step of an answer as clients see it. */
export type AnswerPiece =
  | {
      readonly kind: 'parts';
      readonly choice: number;
      readonly parts: readonly AnswerPart[];
      readonly tokens: readonly TokenReport[];
    }
  | { readonly kind: 'finish'; readonly choice: number; readonly reason: FinishReason };

export interface AnswerReading {
  readonly pieces: AsyncIterable<AnswerPiece>;
  /** Usage and times; once the pieces are at their end. */
  end(): StreamEnd;
}

/** Reads events into pieces, and counts what they cost. */
export function readAnswer(events: AsyncIterable<TokenEvent>, plan: AnswerPlan<unknown>): AnswerReading {
  const readers = Array.from({ length: plan.choices }, plan.reader);
  const called = new Set<number>();
  const finished: FinishEvent[] = [];
  let reasoningTokens = 0;

  const noteCalls = (choice: number, parts: readonly AnswerPart[]): readonly AnswerPart[] => {
    if (parts.some((part) => part.kind === 'call')) called.add(choice);
    return parts;
  };

  async function* pieces(): AsyncIterable<AnswerPiece> {
    for await (const event of events) {
      const { choice } = event;
      const reader = readers[choice];
      plan.heard(event);
      if (event.kind === 'tokens') {
        const wasThinking = reader.isThinking;
        const parts = noteCalls(choice, reader.push(event.text));
        // A token belongs to thoughts where it begins or ends in them.
        if (wasThinking || reader.isThinking) reasoningTokens += event.tokens.length;
        yield { kind: 'parts', choice, parts, tokens: event.tokens };
        continue;
      }
      finished.push(event);
      const rest = noteCalls(choice, reader.end());
      if (rest.length > 0) yield { kind: 'parts', choice, parts: rest, tokens: [] };
      yield {
        kind: 'finish',
        choice,
        reason: event.reason === 'stop' && called.has(choice) ? 'tool_calls' : event.reason,
      };
    }
  }

  return {
    pieces: pieces(),
    end: () => ({
      usage: usageOf(plan.promptTokens, finished, reasoningTokens),
      times: timeInfoOf(finished, plan.head.created, plan.basis, plan.coalescing?.bound),
    }),
  };
}

export interface WholeChoice {
  readonly index: number;
  readonly parts: readonly AnswerPart[];
  readonly tokens: readonly TokenReport[];
  readonly reason: FinishReason;
}

export interface WholeAnswer extends StreamEnd {
  readonly choices: readonly WholeChoice[];
}

/** Read every event, then answer at once. */
export async function wholeAnswer(events: AsyncIterable<TokenEvent>, plan: AnswerPlan<unknown>): Promise<WholeAnswer> {
  const choices = Array.from({ length: plan.choices }, (_, index) => ({
    index,
    parts: [] as AnswerPart[],
    tokens: [] as TokenReport[],
    reason: 'stop' as FinishReason,
  }));
  const reading = readAnswer(events, plan);
  for await (const piece of reading.pieces) {
    const choice = choices[piece.choice];
    if (piece.kind === 'finish') choice.reason = piece.reason;
    else {
      choice.parts.push(...piece.parts);
      choice.tokens.push(...piece.tokens);
    }
  }
  return { choices, ...reading.end() };
}

/**
 * Events of which the first has come, so that a request that fails before it has a token gets a status that clients
 * understand and retry.
 */
export async function begun<T>(events: AsyncIterable<T>): Promise<AsyncIterable<T>> {
  const iterator = events[Symbol.asyncIterator]();
  return resume(await iterator.next(), iterator);
}

/** An iteration whose first value has been taken. */
async function* resume<T>(first: IteratorResult<T>, iterator: AsyncIterator<T>): AsyncIterable<T> {
  try {
    for (let next = first; next.done !== true; next = await iterator.next()) yield next.value;
  } finally {
    await iterator.return?.();
  }
}

/**
 * Server-sent events of an answer. Failures after the first token are an error event and then a throw: the
 * connection must be cut, because a clean end looks like a whole answer.
 * @param openEach whether a choice begins with a chunk of its own even without an opening text
 */
export async function streamAnswer<Logprobs>(
  events: AsyncIterable<TokenEvent>,
  plan: AnswerPlan<Logprobs>,
  chunks: ChunkWriter<Logprobs>,
  openEach: boolean,
): Promise<AsyncIterable<string>> {
  return stream(coalesced(await begun(events), plan.coalescing), plan, chunks, openEach);
}

async function* stream<Logprobs>(
  events: AsyncIterable<TokenEvent>,
  plan: AnswerPlan<Logprobs>,
  chunks: ChunkWriter<Logprobs>,
  openEach: boolean,
): AsyncIterable<string> {
  const { includeUsage } = plan.head;
  const offsets: number[] = [];
  const reading = readAnswer(events, plan);
  let unfinished = plan.choices;
  try {
    for (let choice = 0; choice < plan.choices; choice++) {
      const opening = plan.opening(choice);
      offsets.push(opening.length);
      if (openEach || opening !== '') yield chunks.open(choice, opening);
    }
    for await (const piece of reading.pieces) {
      const { choice } = piece;
      if (piece.kind === 'finish') {
        unfinished--;
        yield chunks.finish(choice, piece.reason, unfinished === 0 && !includeUsage ? reading.end() : undefined);
        continue;
      }
      let logprobs = plan.logprobs?.(piece.tokens, offsets[choice]);
      const nothing: readonly AnswerPart[] = logprobs === undefined ? [] : [{ kind: 'content', text: '' }];
      for (const part of piece.parts.length > 0 ? piece.parts : nothing) {
        yield chunks.part(choice, part, logprobs);
        logprobs = undefined;
        if (part.kind === 'content') offsets[choice] += part.text.length;
      }
    }
    if (includeUsage) yield chunks.usage(reading.end());
    yield SSE_DONE;
  } catch (error) {
    yield sseError(apiErrorOf(error, plan.promptParam));
    throw error;
  }
}
