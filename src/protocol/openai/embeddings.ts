import { Type } from 'typebox';
import { createBodyParser } from './body.ts';
import { sharedFields } from './fields.ts';

const tokens = Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 });

/**
 * Checks an embeddings body.
 * @throws ApiError 400 from the function
 */
export const parseEmbeddingsRequest = createBodyParser({
  fields: {
    model: sharedFields.model,
    input: Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 }), tokens, Type.Array(tokens)], {
      description: 'a string, a list of token ids, or a list of either',
    }),
    encoding_format: Type.Optional(
      Type.Union([Type.Literal('float'), Type.Literal('base64')], { description: `'float' or 'base64'` }),
    ),
    dimensions: Type.Optional(Type.Integer({ minimum: 1, description: 'a whole number from 1' })),
  },
  ignored: ['user'],
  restricted: {},
});
