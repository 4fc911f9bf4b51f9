// A GGUF file as the parts of a checkpoint. Pure: bytes come from the caller.

import type { LlmShape } from '../../spec/index.ts';
import { graphOf } from '../arch/index.ts';
import type { Graph, WeightSource } from '../graph.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { checkTensors, checkTokenizer } from './cross-checks.ts';
import { embeddingOfGguf, type Embedding } from './embedding-rule.ts';
import { readGeneration, type GenerationDefaults } from './generation.ts';
import { CONFIGURING_TENSORS, ggufConfig } from './gguf-config.ts';
import type { ByteSource } from './gguf-cursor.ts';
import { joinLatent } from './gguf-latent.ts';
import { ggufNames } from './gguf-names.ts';
import { ggufTokenizer } from './gguf-tokenizer.ts';
import { ggufWeights } from './gguf-weights.ts';
import { readGgufHeader } from './gguf.ts';
import type { JsonObject } from './json.ts';

/** What a checkpoint of any format holds. */
export interface ModelContent {
  /** As config.json; of a GGUF file, its metadata in those words. */
  readonly config: JsonObject;
  readonly shape: LlmShape;
  readonly graph: Graph;
  /** Under Hugging Face names; tensors in block formats present themselves as f32. */
  readonly weights: WeightSource;
  readonly tokenizer: Tokenizer;
  readonly bosId: number | undefined;
  readonly generation: GenerationDefaults;
  /** How its hidden states become embeddings. */
  readonly embedding: Embedding;
}

/**
 * @param source the whole file; the header is read now, tensors when `weights` is asked for them
 * @param where name of the file, for messages
 * @throws IngotError GGUF_*, CONFIG_*, ARCH_*, CHECKPOINT_TENSOR_*, TOKENIZER_*, CHECKPOINT_GENERATION_INVALID
 */
export function readGgufModel(source: ByteSource, where: string): ModelContent {
  const { metadata, tensors } = readGgufHeader(source, where);
  const names = ggufNames(metadata.get('general.architecture'));
  const { config, shape, bosTokenId, interleaved, normOffset } = ggufConfig(
    metadata,
    tensors,
    (tensor) => ggufWeights(source, [tensor], { names }).read(tensor.name),
    where,
  );
  const rotaryHeadDim = interleaved && shape.attention.kind === 'gqa' ? shape.attention.headDim : undefined;
  const weights = joinLatent(
    ggufWeights(
      source,
      tensors.filter(({ name }) => !CONFIGURING_TENSORS.has(name)),
      { names, rotaryHeadDim, normOffset },
    ),
  );
  checkTensors(weights, shape, {
    where,
    config: 'the metadata',
    architectureKey: 'general.architecture',
    mend: 'convert the model again, or fetch another release of it',
    nameOf: names.gguf,
  });
  const { tokenizer, eosIds } = ggufTokenizer(metadata, where);
  checkTokenizer(tokenizer, shape, where);
  const sampling = (key: string): unknown => metadata.get(`general.sampling.${key}`);
  const generation = readGeneration(
    { temperature: sampling('temp'), top_p: sampling('top_p'), top_k: sampling('top_k') },
    where,
    shape.vocab,
    { eosIds, tokenizerEosIds: tokenizer.eosIds },
  );
  return {
    config,
    shape,
    graph: graphOf(shape),
    weights,
    tokenizer,
    bosId: tokenizer.bosId ?? bosTokenId,
    generation,
    embedding: embeddingOfGguf(metadata.get(`${String(metadata.get('general.architecture'))}.pooling_type`), config),
  };
}
