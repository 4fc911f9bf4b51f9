import { Type, type Static, type TObject } from 'typebox';
import { badValue, createBodyParser } from './body.ts';
import type { FinishReason } from './chat.ts';
import { ApiError } from './error.ts';
import { leastTokensOf, limits, never, sharedFields, sharedIgnored, type ServiceTier } from './fields.ts';
import type { TimeInfo, Usage } from './usage.ts';

const tokenIds = Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 });

const completionFields = {
  ...sharedFields,
  /** 0 with `echo`: the prompt alone, as those ask who score texts. */
  max_tokens: Type.Optional(
    Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'a whole number from 0 to 2^53 - 1' }),
  ),
  prompt: Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 }), tokenIds, Type.Array(tokenIds)], {
    description: 'a string, a list of token ids, or a list of either',
  }),
  echo: Type.Optional(Type.Boolean({ description: 'a boolean' })),
  /** What comes after the text that is asked for; of models that were trained to fill in. */
  suffix: Type.Optional(Type.String({ description: 'a string' })),
  /** Cerebras': token ids in the place of text. */
  return_raw_tokens: Type.Optional(Type.Boolean({ description: 'a boolean' })),
  logprobs: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: limits.topLogprobs,
      description: `a whole number from 0 to ${limits.topLogprobs}`,
    }),
  ),
};

const parseFields = createBodyParser({
  fields: completionFields,
  ignored: sharedIgnored,
  restricted: {
    best_of: { allows: (value) => value === 1, only: '1' },
    grammar_root: never,
  },
});

/** OpenAI's default for this endpoint. */
const DEFAULT_MAX_TOKENS = 16;

/** One prompt: text, or token ids that are used as they are. */
export type CompletionPrompt = string | readonly number[];

export type CompletionRequest = Omit<Static<TObject<typeof completionFields>>, 'prompt'> & {
  readonly prompts: readonly CompletionPrompt[];
  readonly max_tokens: number;
  readonly min_tokens: number;
};

/**
 * Checks a completion body; every form of `prompt` becomes a list of prompts.
 * @throws ApiError 400
 */
export function parseCompletionRequest(body: unknown): CompletionRequest {
  const { prompt, ...rest } = parseFields(body);
  const prompts: readonly CompletionPrompt[] =
    typeof prompt === 'string' || typeof prompt[0] === 'number'
      ? [prompt as CompletionPrompt]
      : (prompt as readonly CompletionPrompt[]);
  const choices = prompts.length * (rest.n ?? 1);
  if (prompts.length === 0 || choices > limits.choices) {
    throw new ApiError({
      status: 400,
      code: 'invalid_value',
      param: 'prompt',
      message: `${prompts.length} prompts times n = ${rest.n ?? 1} is ${choices} choices; expected 1 to ${limits.choices}.`,
    });
  }
  if (rest.max_tokens === 0 && rest.echo !== true)
    throw badValue('max_tokens', `a whole number from 1 to 2^53 - 1, or 0 with 'echo'`, 0);
  if ((rest.suffix ?? '') !== '') {
    if (rest.echo === true) throw badValue('echo', `false where there is a 'suffix'`, true);
    if (prompts.some((each) => typeof each !== 'string'))
      throw badValue('prompt', `texts where there is a 'suffix'`, prompt);
  }
  if (rest.return_raw_tokens === true && rest.echo === true) {
    throw badValue('echo', `false where 'return_raw_tokens' is true`, true);
  }
  const max_tokens = rest.max_tokens ?? DEFAULT_MAX_TOKENS;
  return { ...rest, max_tokens, min_tokens: leastTokensOf({ ...rest, max_tokens }), prompts };
}

export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  /** Null for the first token of an echoed prompt. */
  readonly token_logprobs: readonly (number | null)[];
  readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
  /** Where each token's text begins in the choice's text. */
  readonly text_offset: readonly number[];
}

/** What is told of a completion's tokens beside its text, or in its place. */
export interface CompletionTokens {
  readonly logprobs?: CompletionLogprobs;
  readonly ids?: readonly number[];
}

export interface Completion {
  readonly id: string;
  readonly object: 'text_completion';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    /** Empty where tokens were asked for in its place. */
    readonly text: string;
    readonly tokens?: readonly number[];
    readonly logprobs: CompletionLogprobs | null;
    readonly finish_reason: FinishReason;
  }[];
  readonly usage: Usage;
  readonly time_info: TimeInfo;
  readonly system_fingerprint?: string;
  readonly service_tier?: ServiceTier;
  readonly service_tier_used?: ServiceTier;
}
