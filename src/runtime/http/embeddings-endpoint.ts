// POST /v1/embeddings: hidden states after the last norm, pooled as the checkpoint says. Whether anybody trained the model so that
// they can be compared is the checkpoint's affair; a model that is not executed has none.

import type { EmbeddingRule } from '../../model/index.ts';
import {
  ApiError,
  base64Floats,
  embeddingLength,
  parseEmbeddingsRequest,
  type EmbeddingList,
} from '../../protocol/index.ts';
import type { EngineRequest, FinishEvent } from '../engine-request.ts';
import { shapedEmbedding } from '../pooling.ts';
import { encodeTexts, promptTokensOf, schedulingOf, type EndpointContext } from './endpoint.ts';
import { apiErrorOf } from './failure.ts';
import type { PreparedModel } from './served-model.ts';
import { timeInfoOf } from './time-info.ts';

/** @throws ApiError */
export async function embeddings(given: unknown, context: EndpointContext): Promise<string> {
  const { inputs, encoding_format: format, dimensions, ...body } = parseEmbeddingsRequest(given);
  const model = context.findModel(body.model);
  const { rule, width } = embeddingOf(model);
  const length = embeddingLength(dimensions, width, rule.dimensions);
  try {
    const request: EngineRequest = {
      prompts: await encodeTexts(inputs, model),
      embed: rule.pooling,
      // Nothing is drawn.
      sampling: { temperature: 0 },
      seed: 0,
      ...schedulingOf(body, context),
    };
    const finished: FinishEvent[] = [];
    for await (const event of context.submit(model, { operation: 'embeddings', stream: false, request })) {
      context.track.heard(event);
      if (event.kind === 'finish') finished.push(event);
    }
    const tokens = promptTokensOf(request);
    const { normalize } = rule;
    const list: EmbeddingList = {
      object: 'list',
      data: finished
        .toSorted((a, b) => a.choice - b.choice)
        .map(({ choice: index, embedding = new Float32Array() }) => {
          const values = shapedEmbedding(embedding, { dimensions: length, normalize });
          return { object: 'embedding', index, embedding: format === 'base64' ? base64Floats(values) : [...values] };
        }),
      model: model.id,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
      time_info: timeInfoOf(finished, context.created, model.engine.waferBasis, undefined),
    };
    return JSON.stringify(list);
  } catch (error) {
    throw apiErrorOf(error, 'input');
  }
}

/** @throws ApiError 400 where the model has none */
function embeddingOf({ id, embedding, engine }: PreparedModel): {
  readonly rule: EmbeddingRule;
  readonly width: number;
} {
  const { hiddenWidth: width } = engine;
  let refused = 'it is not executed, so there are no hidden states to make them of';
  if (embedding !== undefined && width !== undefined) {
    if (!('refused' in embedding)) return { rule: embedding, width };
    ({ refused } = embedding);
  }
  throw new ApiError({
    status: 400,
    code: 'embeddings_not_supported',
    param: 'model',
    message: `The model '${id}' has no embeddings here: ${refused}.`,
    suggestion: `Use a model whose capabilities at /v1/models say "embeddings": true.`,
  });
}
