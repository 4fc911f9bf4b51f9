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
import type { EventStream } from '../engine-channel.ts';
import type { FinishEvent, TokenEvent, TokenReport } from '../engine-request.ts';
import { createJoiner, type Coalescing } from './coalesce.ts';
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
  /** Thoughts are left out, and so is what is known of their tokens. */
  readonly hidesThoughts?: boolean;
  /** Of a choice's next tokens; absent where the client did not ask. */
  readonly logprobs?: (tokens: readonly TokenReport[], choice: number) => Logprobs;
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
      /** Its tokens begin or end in thoughts. */
      readonly isThought: boolean;
    }
  | { readonly kind: 'prompt'; readonly choice: number; readonly tokens: readonly TokenReport[] }
  | { readonly kind: 'finish'; readonly choice: number; readonly reason: FinishReason };

export interface AnswerReading {
  /** An event's pieces, in order. */
  read(event: TokenEvent): AnswerPiece[];
  /** Usage and times; once every choice has finished. */
  end(): StreamEnd;
}

/** Reads events into pieces, and counts what they cost. */
export function createAnswerReading(plan: AnswerPlan<unknown>): AnswerReading {
  const readers = Array.from({ length: plan.choices }, plan.reader);
  const called = new Set<number>();
  const finished: FinishEvent[] = [];
  let reasoningTokens = 0;

  const noteCalls = (choice: number, parts: readonly AnswerPart[]): readonly AnswerPart[] => {
    if (parts.some((part) => part.kind === 'call')) called.add(choice);
    return parts;
  };

  return {
    read(event) {
      const { choice } = event;
      const reader = readers[choice];
      plan.heard(event);
      if (event.kind === 'prompt') return [event];
      if (event.kind === 'tokens') {
        const wasThinking = reader.isThinking;
        const parts = noteCalls(choice, reader.push(event.text));
        const isThought = wasThinking || reader.isThinking;
        if (isThought) reasoningTokens += event.tokens.length;
        return [{ kind: 'parts', choice, parts, tokens: event.tokens, isThought }];
      }
      finished.push(event);
      const rest = noteCalls(choice, reader.end());
      const reason = event.reason === 'stop' && called.has(choice) ? 'tool_calls' : event.reason;
      const end: AnswerPiece = { kind: 'finish', choice, reason };
      return rest.length === 0 ? [end] : [{ kind: 'parts', choice, parts: rest, tokens: [], isThought: false }, end];
    },
    end: () => ({
      usage: usageOf(plan.promptTokens, finished, reasoningTokens),
      times: timeInfoOf(finished, plan.head.created, plan.basis, plan.coalescing?.bound),
    }),
  };
}

export interface WholeChoice {
  readonly index: number;
  readonly parts: readonly AnswerPart[];
  /** Of the prompt, where they were asked for. */
  readonly prompt: readonly TokenReport[];
  /** Of the answer, those of its thoughts apart. */
  readonly tokens: readonly TokenReport[];
  readonly thoughts: readonly TokenReport[];
  readonly reason: FinishReason;
}

export interface WholeAnswer extends StreamEnd {
  readonly choices: readonly WholeChoice[];
}

/** Read every event, then answer at once. */
export async function wholeAnswer(events: EventStream<TokenEvent>, plan: AnswerPlan<unknown>): Promise<WholeAnswer> {
  const choices = Array.from({ length: plan.choices }, (_, index) => ({
    index,
    parts: [] as AnswerPart[],
    prompt: [] as TokenReport[],
    tokens: [] as TokenReport[],
    thoughts: [] as TokenReport[],
    reason: 'stop' as FinishReason,
  }));
  const reading = createAnswerReading(plan);
  events.hold(createJoiner());
  for await (const event of events) {
    for (const piece of reading.read(event)) {
      const choice = choices[piece.choice];
      if (piece.kind === 'finish') choice.reason = piece.reason;
      else if (piece.kind === 'prompt') choice.prompt.push(...piece.tokens);
      else {
        choice.parts.push(...piece.parts);
        (piece.isThought ? choice.thoughts : choice.tokens).push(...piece.tokens);
      }
    }
  }
  return { choices, ...reading.end() };
}

/** Writes an answer as server-sent events. */
export interface AnswerWriter {
  /** Before all else. */
  begin(): string;
  /** What an event says; '' where it says nothing. */
  write(event: TokenEvent): string;
  /** After all events. */
  end(): string;
  /** In the place of the rest. */
  fail(error: unknown): string;
}

/**
 * The pieces of a streamed answer: what came together is one. Waits for the first event, so that a request that fails before it
 * has a token gets a status that clients understand and retry. Failures after the first token are an error event and then a
 * throw: the connection must be cut, because a clean end looks like a whole answer.
 */
export async function streamAnswer(
  events: EventStream<TokenEvent>,
  coalescing: Coalescing | undefined,
  writer: AnswerWriter,
): Promise<AsyncIterable<string>> {
  if (coalescing !== undefined) events.hold(createJoiner(coalescing));
  return stream(await nextOf(events), events, writer);
}

async function nextOf(events: EventStream<TokenEvent>): Promise<readonly TokenEvent[] | undefined> {
  await events.ready();
  return events.take();
}

/** Characters of one piece: what a slow client has not yet taken waits as events, which are smaller. */
const MOST_AT_ONCE = 65_536;

async function* stream(
  first: readonly TokenEvent[] | undefined,
  events: EventStream<TokenEvent>,
  writer: AnswerWriter,
): AsyncIterable<string> {
  try {
    let said = writer.begin();
    for (let taken = first; taken !== undefined; taken = await nextOf(events)) {
      for (const event of taken) {
        said += writer.write(event);
        if (said.length < MOST_AT_ONCE) continue;
        yield said;
        said = '';
      }
      if (said !== '') yield said;
      said = '';
    }
    const last = said + writer.end();
    if (last !== '') yield last;
  } catch (error) {
    yield writer.fail(error);
    throw error;
  } finally {
    events.leave();
  }
}

/**
 * An answer as chunks.
 * @param openEach whether a choice begins with a chunk of its own even without an opening text
 */
export function createChunkedWriter<Logprobs>(
  plan: AnswerPlan<Logprobs>,
  chunks: ChunkWriter<Logprobs>,
  openEach: boolean,
): AnswerWriter {
  const { includeUsage } = plan.head;
  const reading = createAnswerReading(plan);
  let unfinished = plan.choices;

  const write = (piece: AnswerPiece): string => {
    const { choice } = piece;
    if (piece.kind === 'finish') {
      unfinished--;
      return chunks.finish(choice, piece.reason, unfinished === 0 && !includeUsage ? reading.end() : undefined);
    }
    if (piece.kind === 'prompt') {
      if (plan.logprobs === undefined) return '';
      return chunks.part(choice, { kind: 'content', text: '' }, plan.logprobs(piece.tokens, choice));
    }
    const { isThought } = piece;
    const isTold = !(isThought && plan.hidesThoughts === true);
    let logprobs = isTold ? plan.logprobs?.(piece.tokens, choice) : undefined;
    const kind = isThought ? 'reasoning' : 'content';
    const nothing: readonly AnswerPart[] = logprobs === undefined ? [] : [{ kind, text: '' }];
    let said = '';
    for (const part of piece.parts.length > 0 ? piece.parts : nothing) {
      said += chunks.part(choice, part, logprobs);
      logprobs = undefined;
    }
    return said;
  };

  return {
    begin() {
      let said = '';
      for (let choice = 0; choice < plan.choices; choice++) {
        const opening = plan.opening(choice);
        if (openEach || opening !== '') said += chunks.open(choice, opening);
      }
      return said;
    },
    write(event) {
      let said = '';
      for (const piece of reading.read(event)) said += write(piece);
      return said;
    },
    end: () => (includeUsage ? chunks.usage(reading.end()) : '') + SSE_DONE,
    fail: (error) => sseError(apiErrorOf(error, plan.promptParam)),
  };
}
