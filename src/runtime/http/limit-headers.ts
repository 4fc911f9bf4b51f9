// Rate-limit headers as OpenAI's clients read them. The limits are those of the server: how many sequences it holds, and how many
// tokens its KV cache; keys of tenants may bring tighter ones.

import type { PreparedModel } from './served-model.ts';

/** Of all models together, because a response need not belong to one. */
export function limitHeaders(models: readonly PreparedModel[]): Readonly<Record<string, string>> {
  const sum = (of: (model: PreparedModel) => number): string =>
    String(models.reduce((total, model) => total + Math.max(0, Math.floor(of(model))), 0));
  // What is full frees up as answers end; how soon, the queue tells.
  const reset = Math.max(0, ...models.map(({ engine }) => engine.expectedQueueTime()));
  return {
    'x-ratelimit-limit-requests': sum(({ engine }) => engine.limits.sequences),
    'x-ratelimit-remaining-requests': sum(
      ({ engine: { limits, counts } }) => limits.sequences - counts.waiting - counts.running,
    ),
    'x-ratelimit-reset-requests': duration(reset),
    'x-ratelimit-limit-tokens': sum(({ engine }) => engine.limits.cachedTokens),
    'x-ratelimit-remaining-tokens': sum(
      ({ engine: { limits, counts } }) => limits.cachedTokens * (1 - counts.blocksUsed / counts.blocks),
    ),
    'x-ratelimit-reset-tokens': duration(reset),
  };
}

/** As in `6m0s`: minutes and seconds, or milliseconds below a second. */
export function duration(time: number): string {
  if (time < 1) return `${Math.ceil(time * 1000)}ms`;
  const total = Math.ceil(time);
  const minutes = Math.floor(total / 60);
  return minutes === 0 ? `${total}s` : `${minutes}m${total % 60}s`;
}
