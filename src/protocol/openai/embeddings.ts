import { Type, type Static, type TObject } from 'typebox';
import { badValue, createBodyParser } from './body.ts';
import { sharedFields, sharedIgnored } from './fields.ts';
import { schedulingFields } from './scheduling.ts';
import type { TimeInfo } from './usage.ts';

/** OpenAI's bound on the texts of one request. */
const MAX_INPUTS = 2048;

const text = Type.String({ minLength: 1 });
const tokens = Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 });

const fields = {
  model: sharedFields.model,
  ...schedulingFields,
  service_tier: sharedFields.service_tier,
  input: Type.Union(
    [
      text,
      Type.Array(text, { minItems: 1, maxItems: MAX_INPUTS }),
      tokens,
      Type.Array(tokens, { minItems: 1, maxItems: MAX_INPUTS }),
    ],
    { description: `a text that is not empty, a list of token ids, or a list of 1 to ${MAX_INPUTS} of either` },
  ),
  encoding_format: Type.Optional(
    Type.Union([Type.Literal('float'), Type.Literal('base64')], { description: `'float' or 'base64'` }),
  ),
  dimensions: Type.Optional(Type.Integer({ minimum: 1, description: 'a whole number from 1' })),
};

const parseFields = createBodyParser({ fields, ignored: sharedIgnored, restricted: {} });

export type EmbeddingsRequest = Omit<Static<TObject<typeof fields>>, 'input'> & {
  /** Texts, or token ids that are used as they are. */
  readonly inputs: readonly (string | readonly number[])[];
};

/**
 * Checks an embeddings body; every form of `input` becomes a list.
 * @throws ApiError 400
 */
export function parseEmbeddingsRequest(body: unknown): EmbeddingsRequest {
  const { input, ...rest } = parseFields(body);
  const isOne = typeof input === 'string' || typeof input[0] === 'number';
  return { ...rest, inputs: isOne ? [input as string | number[]] : (input as readonly (string | number[])[]) };
}

/**
 * How long embeddings are to be.
 * @param width of the model's own
 * @param allowed shorter ones that it was trained for
 * @throws ApiError 400
 */
export function embeddingLength(asked: number | undefined, width: number, allowed: 'any' | readonly number[]): number {
  if (asked === undefined || asked === width) return width;
  if (allowed === 'any' ? asked < width : allowed.includes(asked) && asked < width) return asked;
  const expected =
    allowed === 'any' ? `at most ${width}` : [...allowed.filter((each) => each < width), width].join(', ');
  throw badValue('dimensions', `${expected}, which the model was trained for`, asked);
}

export interface EmbeddingList {
  readonly object: 'list';
  readonly data: readonly {
    readonly object: 'embedding';
    readonly index: number;
    /** Numbers, or the base64 of little-endian float32. */
    readonly embedding: readonly number[] | string;
  }[];
  readonly model: string;
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number };
  readonly time_info: TimeInfo;
}

/** Bytes that become characters at once. */
const CHUNK = 8192;

/** Little-endian float32 in base64, as clients ask for by default. */
export function base64Floats(values: Float32Array): string {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  for (const [i, value] of values.entries()) view.setFloat32(4 * i, value, true);
  const bytes = new Uint8Array(view.buffer);
  let characters = '';
  for (let at = 0; at < bytes.length; at += CHUNK) characters += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(characters);
}
