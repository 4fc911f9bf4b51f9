// POST /v1/completions.

import { createCompletionChunkWriter, parseCompletionRequest, type CompletionTokens } from '../../protocol/index.ts';
import type { TokenDecoder } from '../../model/index.ts';
import type { EngineRequest, TokenReport } from '../engine-request.ts';
import { answer, encodeTexts, engineRequest, type EndpointBody, type EndpointContext } from './endpoint.ts';
import { apiErrorOf } from './failure.ts';
import { fillInOf } from './fill-in.ts';
import { messageOf, plainReader } from './message-reader.ts';
import { createCompletionLogprobs } from './token-logprobs.ts';

/** @throws ApiError */
export async function completion(given: unknown, context: EndpointContext): Promise<EndpointBody> {
  const body = parseCompletionRequest(given);
  const model = context.findModel(body.model);
  const { tokenizer } = model;
  const { suffix = '', return_raw_tokens: isRaw = false } = body;
  try {
    const fillIn = suffix === '' ? undefined : fillInOf(tokenizer, model.id);
    const sampling = engineRequest(body, model, context);
    const prompts =
      fillIn === undefined ? body.prompts : body.prompts.map((text) => fillIn.prompt(String(text), suffix));
    const request: EngineRequest = {
      ...sampling,
      ...(fillIn === undefined || body.ignore_eos === true ? {} : { eos: [...(sampling.eos ?? []), ...fillIn.ends] }),
      prompts: await encodeTexts(prompts, model),
      // The answer goes on from the prompt's last character.
      decoder: () => tokenizer.decoder({ continues: true }),
      ...(body.logprobs === undefined ? {} : { logprobs: body.logprobs }),
      ...(body.echo === true && (body.logprobs !== undefined || body.max_tokens === 0)
        ? { promptLogprobs: body.logprobs ?? 0 }
        : {}),
    };
    /** Nothing stands before the first of a prompt, which therefore has no log probability. */
    const decoderOf = ([first]: readonly TokenReport[]): TokenDecoder =>
      tokenizer.decoder({ continues: first?.logprob !== undefined });
    const opening = (choice: number): string => {
      if (body.echo !== true) return '';
      const prompt = body.prompts[Math.floor(choice / (body.n ?? 1))];
      return typeof prompt === 'string' ? prompt : tokenizer.decode(prompt);
    };
    const logprobsOf: ReturnType<typeof createCompletionLogprobs>[] = [];
    const told = (tokens: readonly TokenReport[], choice: number): CompletionTokens => ({
      ...(request.logprobs === undefined
        ? {}
        : { logprobs: (logprobsOf[choice] ??= createCompletionLogprobs(tokenizer, decoderOf(tokens)))(tokens) }),
      ...(isRaw ? { ids: tokens.map(({ token }) => token) } : {}),
    });
    return await answer<CompletionTokens>(body, request, model, context, {
      id: `cmpl-${context.newId()}`,
      operation: 'text_completion',
      promptParam: 'prompt',
      opening,
      openEach: false,
      reader: plainReader,
      logprobs: request.logprobs !== undefined || isRaw ? told : undefined,
      chunkWriter: createCompletionChunkWriter,
      whole: ({ id, created }, { choices, usage, times }) => ({
        id,
        object: 'text_completion',
        created,
        model: model.id,
        choices: choices.map(({ index, parts, prompt, tokens, reason }) => ({
          index,
          ...(isRaw
            ? { text: '', tokens: tokens.map(({ token }) => token) }
            : { text: `${opening(index)}${messageOf(parts).content ?? ''}` }),
          logprobs: told([...prompt, ...tokens], index).logprobs ?? null,
          finish_reason: reason,
        })),
        usage,
        time_info: times,
      }),
    });
  } catch (error) {
    throw apiErrorOf(error, 'prompt');
  }
}
