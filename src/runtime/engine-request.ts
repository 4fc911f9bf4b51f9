// What a client asks of the engine, and what it hears.

import { fail, type Seconds } from '../core/index.ts';
import type { TokenDecoder } from '../model/index.ts';
import type { Timeline } from '../protocol/index.ts';
import type { Executor } from './executor/executor.ts';
import type { KvBlocks } from './kv.ts';
import type { LogitsProcessor } from './logits-processor.ts';
import type { Pooling } from './pooling.ts';
import type { Sampling, TokenLogprobs } from './sampler.ts';
import type { LatencyTargets } from './sequence.ts';

export interface EngineRequest {
  /** Token ids; each is answered by `choices` sequences. */
  readonly prompts: readonly (readonly number[] | Int32Array)[];
  /** Answers per prompt, default 1. */
  readonly choices?: number;
  /** In the place of an answer, one vector per prompt: its hidden states after the last norm, pooled. */
  readonly embed?: Pooling;
  /** Most tokens per answer; default what the context leaves. */
  readonly maxTokens?: number;
  readonly sampling: Sampling;
  /** Equal seeds give equal answers, whatever else is in the batch. Choices of one prompt differ. */
  readonly seed: number;
  /** Tokens that end an answer; they count as generated, and have no text. */
  readonly eos?: readonly number[];
  /** Strings that end an answer and are not part of it. They need `decoder`. */
  readonly stop?: readonly string[];
  /** Report log probabilities: of each token, and of this many alternatives. */
  readonly logprobs?: number;
  /** Report log probabilities of the prompt's own tokens too, and of this many alternatives; `maxTokens` may then be 0. */
  readonly promptLogprobs?: number;
  /** Makes what changes one answer's logits before each draw; log probabilities are those of the model all the same. */
  readonly processor?: (prompt: Int32Array) => LogitsProcessor;
  /** Makes one answer's decoder; without it answers have tokens but no text. */
  readonly decoder?: () => TokenDecoder;
  /** When the request reached the server; default now. */
  readonly sent?: Seconds;
  /** Levels of urgency: the smaller goes first, 0 is usual. For schedulers that know levels. */
  readonly priority?: number;
  /** Who is accounted; '' where nobody is. For schedulers that share between tenants. */
  readonly tenant?: string;
  /** Share of its tenant in relation to others, for the same; default 1. The newest word of a tenant's holds. */
  readonly weight?: number;
  /** What was promised. For schedulers that go by deadlines. */
  readonly targets?: LatencyTargets;
  /** Ends with DEADLINE_EXCEEDED where it has not ended by then, on the engine's clock. */
  readonly deadline?: Seconds;
  /** Refused with QUEUE_TOO_LONG where it would probably wait longer than this for its first step. */
  readonly maxQueueTime?: Seconds;
  /** Only requests of equal salt share cached blocks; default '', all. */
  readonly cacheSalt?: string;
  /** Text that the answer will probably repeat, as tokens: drafts are looked up in it too. */
  readonly prediction?: readonly number[] | Int32Array;
  /** Hears once what the request took, when it ends for whatever reason and before its reader knows. */
  readonly onEnd?: (account: RequestAccount) => void;
}

/** What a request took, whether its reader saw it all or not. */
export interface RequestAccount {
  readonly outcome: 'complete' | 'cancelled' | 'failed';
  /** Of prompts whose processing began. */
  readonly promptTokens: number;
  /** Of these, those that the prefix cache had. */
  readonly cachedTokens: number;
  readonly generatedTokens: number;
  /** Its share of the steps that it took part in, by tokens computed; 0 without a step model. */
  readonly waferSeconds: number;
  readonly waferJoules: number;
}

export interface TokenReport extends Partial<TokenLogprobs> {
  readonly token: number;
}

/** Answers are numbered prompt by prompt: choice = prompt × choices + i. */
export interface TokensEvent {
  readonly kind: 'tokens';
  readonly choice: number;
  /** Text that is certain now; may be empty while characters or stop strings are incomplete. */
  readonly text: string;
  readonly tokens: readonly TokenReport[];
}

/** The prompt's tokens, told once before an answer's first; the first of them has no log probability. */
export interface PromptEvent {
  readonly kind: 'prompt';
  readonly choice: number;
  readonly tokens: readonly TokenReport[];
}

export interface FinishEvent {
  readonly kind: 'finish';
  readonly choice: number;
  /** `stop`: by eos or stop string; `length`: by max tokens. */
  readonly reason: 'stop' | 'length';
  /** Sampled tokens, with the one that ended it. */
  readonly generated: number;
  /** Where the request asked to embed; nothing is generated then. */
  readonly embedding?: Float32Array;
  /** Prompt tokens that were not computed, because the prefix cache had them; told with the first choice of a prompt. */
  readonly cached: number;
  /** Tokens that a drafter proposed, and those of them that are in the answer. */
  readonly drafted: number;
  readonly accepted: number;
  readonly timeline: Timeline;
  /** The same steps on the simulated wafer's clock; absent without a step model. */
  readonly wafer?: Timeline;
}

export type TokenEvent = PromptEvent | TokensEvent | FinishEvent;

/** Longest prompt and answer together: what the executor can address and what its blocks can hold. */
export const contextLimit = (executor: Executor, kv: KvBlocks): number =>
  Math.min(executor.maxContext, kv.total * kv.blockTokens);

/**
 * Refuses up front what could never be run.
 * @returns the most tokens that each prompt's answer may have
 * @throws IngotError PROMPT_EMPTY, TOKEN_OUT_OF_RANGE, CONTEXT_OVERFLOW, REQUEST_INVALID, EMBEDDINGS_UNSUPPORTED
 */
export function checkRequest(
  request: EngineRequest,
  { vocab, hiddenWidth }: Pick<Executor, 'vocab' | 'hiddenWidth'>,
  context: number,
): number[] {
  const {
    prompts,
    choices = 1,
    maxTokens,
    stop = [],
    decoder,
    priority = 0,
    deadline = 0,
    weight = 1,
    targets,
    embed,
  } = request;
  if (embed !== undefined && hiddenWidth === undefined) {
    return fail({
      code: 'EMBEDDINGS_UNSUPPORTED',
      message: 'the model is not executed, so it has no hidden states to make embeddings of',
      suggestion: 'Ask a model that is served from a checkpoint.',
    });
  }
  const valid =
    prompts.length > 0 &&
    Number.isSafeInteger(choices) &&
    choices > 0 &&
    (maxTokens === undefined ||
      (Number.isSafeInteger(maxTokens) && maxTokens >= (request.promptLogprobs === undefined ? 1 : 0))) &&
    (stop.length === 0 || decoder !== undefined) &&
    stop.every((text) => text !== '') &&
    Number.isFinite(priority) &&
    Number.isFinite(deadline) &&
    weight > 0 &&
    Number.isFinite(weight) &&
    (targets === undefined || (targets.ttft >= 0 && targets.tpot >= 0));
  if (!valid) {
    return fail({
      code: 'REQUEST_INVALID',
      message:
        'a request has at least one prompt, choice and token, a finite priority and deadline, a weight above 0, and stop strings need a decoder',
    });
  }
  return prompts.map((prompt) => {
    if (prompt.length === 0) {
      return fail({ code: 'PROMPT_EMPTY', message: 'the prompt has no tokens', expected: 'at least one token' });
    }
    for (const token of prompt) {
      if (Number.isInteger(token) && token >= 0 && token < vocab) continue;
      return fail({
        code: 'TOKEN_OUT_OF_RANGE',
        message: `the prompt has token ${token}, which the vocabulary of ${vocab} tokens lacks`,
        expected: `token ids from 0 to ${vocab - 1}`,
        found: String(token),
      });
    }
    const answer = embed === undefined ? (maxTokens ?? Math.max(1, context - prompt.length)) : 0;
    if (prompt.length + answer <= context) return answer;
    return fail({
      code: 'CONTEXT_OVERFLOW',
      message:
        `the context holds ${context} tokens, but ${prompt.length + answer} were asked for ` +
        `(${prompt.length} in the prompt, ${answer} for the answer)`,
      expected: `at most ${context} tokens`,
      found: `${prompt.length + answer} tokens`,
      suggestion: 'Shorten the prompt or ask for fewer tokens.',
    });
  });
}
