// POST /v1/embeddings. Executors give logits, not hidden states, and a generator's hidden states are no embeddings that anybody
// was trained to compare; so the endpoint says that the model has none instead of inventing some.

import { ApiError, parseEmbeddingsRequest } from '../../protocol/index.ts';
import type { EndpointContext } from './endpoint.ts';

/** @throws ApiError 400 */
export function embeddings(given: unknown, context: EndpointContext): never {
  const model = context.findModel(parseEmbeddingsRequest(given).model);
  throw new ApiError({
    status: 400,
    code: 'embeddings_not_supported',
    param: 'model',
    message: `The model '${model.id}' generates text and has no embeddings.`,
    suggestion: 'Use a model that was trained to embed.',
  });
}
