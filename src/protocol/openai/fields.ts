// Fields that chat and completions share. Defaults of the meaning are OpenAI's.

import { Type } from 'typebox';
import { badValue, type Restriction } from './body.ts';
import { schedulingFields } from './scheduling.ts';

/** Bounds on untrusted input. */
export const limits = {
  /** Chat templates are rendered at a bounded cost, a hundred evaluations for each; OpenAI takes 2,048. */
  messages: 10_000,
  /** OpenAI's bound on `n`. */
  choices: 128,
  /** Enough for every client template seen; each costs a search per token. */
  stopStrings: 16,
  /** Held-back text is at most this long, and matching costs at most its square per token. */
  stopLength: 1024,
  /** OpenAI's bound on alternatives per token. */
  topLogprobs: 20,
  /** Largest top_k that selects by heap; above it, top_p is the better tool. */
  topK: 1_000_000,
  /** Tokens with a bias; each is added at every step. */
  biases: 10_000,
} as const;

export const StreamOptionsSchema = Type.Object(
  {
    include_usage: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
    /** This server never pads; `true` would ask for it. */
    include_obfuscation: Type.Optional(Type.Union([Type.Literal(false), Type.Null()])),
  },
  {
    additionalProperties: false,
    description: 'an object with include_usage (boolean), and include_obfuscation only if false',
  },
);

/** JSON numbers beyond that are no longer exact; what the context holds is far below. */
export const tokenCount = Type.Integer({
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'a whole number from 1 to 2^53 - 1',
});

/** One of some words. */
export const literals = <T extends string>(values: readonly T[]) =>
  Type.Unsafe<T>(
    Type.Union(
      values.map((value) => Type.Literal(value)),
      { description: values.map((value) => `'${value}'`).join(', ') },
    ),
  );

const leastTokens = Type.Integer({
  minimum: -1,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'a whole number from 0 to 2^53 - 1, or -1 for as many as there may be',
});
const penalty = Type.Number({ minimum: -2, maximum: 2, description: 'a number from -2 to 2' });

/** In falling order of priority; `auto` is what the server thinks best. */
export const serviceTiers = ['priority', 'default', 'auto', 'flex'] as const;
export type ServiceTier = (typeof serviceTiers)[number];

export const sharedFields = {
  ...schedulingFields,
  model: Type.String({ minLength: 1, description: 'the name of a model' }),
  stream: Type.Optional(Type.Boolean({ description: 'a boolean' })),
  stream_options: Type.Optional(StreamOptionsSchema),
  max_tokens: Type.Optional(tokenCount),
  temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2, description: 'a number from 0 to 2' })),
  top_p: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1, description: 'a number above 0 and at most 1' })),
  /** Not OpenAI's; the name and "0 or −1 for all" are those that other open servers use. */
  top_k: Type.Optional(
    Type.Integer({ minimum: -1, maximum: limits.topK, description: `a whole number from -1 to ${limits.topK}` }),
  ),
  min_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1, description: 'a number from 0 to 1' })),
  /** Not OpenAI's; benchmarks need answers of a known length. */
  ignore_eos: Type.Optional(Type.Boolean({ description: 'a boolean' })),
  n: Type.Optional(
    Type.Integer({ minimum: 1, maximum: limits.choices, description: `a whole number from 1 to ${limits.choices}` }),
  ),
  frequency_penalty: Type.Optional(penalty),
  presence_penalty: Type.Optional(penalty),
  /** Not OpenAI's; divides the logits of tokens that the prompt or the answer has. */
  repetition_penalty: Type.Optional(
    Type.Number({ minimum: 0.01, maximum: 10, description: 'a number from 0.01 to 10' }),
  ),
  logit_bias: Type.Optional(
    Type.Record(Type.String({ pattern: '^[0-9]{1,9}$' }), Type.Number({ minimum: -100, maximum: 100 }), {
      additionalProperties: false,
      maxProperties: limits.biases,
      description: `an object from token ids to numbers from -100 to 100, of at most ${limits.biases} members`,
    }),
  ),
  /** Not OpenAI's: an answer ends by itself no earlier. The second is Cerebras' name. */
  min_tokens: Type.Optional(leastTokens),
  min_completion_tokens: Type.Optional(leastTokens),
  service_tier: Type.Optional(literals(serviceTiers)),
  seed: Type.Optional(
    Type.Integer({
      minimum: Number.MIN_SAFE_INTEGER,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'a whole number of at most 53 bits',
    }),
  ),
  stop: Type.Optional(
    Type.Union(
      [
        Type.String({ minLength: 1, maxLength: limits.stopLength }),
        Type.Array(Type.String({ minLength: 1, maxLength: limits.stopLength }), { maxItems: limits.stopStrings }),
      ],
      { description: `a string of 1 to ${limits.stopLength} characters, or at most ${limits.stopStrings} of them` },
    ),
  ),
};

/** Names for accounting and caching on OpenAI's side; the answer does not depend on them. */
export const sharedIgnored = [
  'user',
  'metadata',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'prompt_cache_options',
] as const;

export const onlyFalse: Restriction = { allows: (value) => value === false, only: 'false' };
export const onlyEmptyList: Restriction = {
  allows: (value) => Array.isArray(value) && value.length === 0,
  only: 'an empty list',
};
export const never: Restriction = { allows: () => false };
export const onlyOneOf = (...values: readonly string[]): Restriction => ({
  allows: (value) => typeof value === 'string' && values.includes(value),
  only: values.map((value) => `'${value}'`).join(' or '),
});

/**
 * The least number of tokens, under either name.
 * @throws ApiError 400 where it is more than the most
 */
export function leastTokensOf(body: {
  readonly min_tokens?: number;
  readonly min_completion_tokens?: number;
  readonly max_tokens?: number;
}): number {
  const given = [body.min_tokens ?? 0, body.min_completion_tokens ?? 0];
  const least = given.includes(-1) ? (body.max_tokens ?? Number.MAX_SAFE_INTEGER) : Math.max(...given);
  if (body.max_tokens === undefined || least <= body.max_tokens) return least;
  throw badValue('min_tokens', `at most the most tokens of an answer, ${body.max_tokens}`, least);
}
