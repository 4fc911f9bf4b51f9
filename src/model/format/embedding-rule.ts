// How a checkpoint's hidden states become embeddings: what sentence-transformers wrote beside it, or else what servers of plain
// decoders do.

import { isJsonObject, type JsonObject } from './json.ts';

/** From the hidden states of a text after the last norm to its embedding. */
export interface EmbeddingRule {
  /** Of the last token, or the mean of all. */
  readonly pooling: 'last' | 'mean';
  /** Scaled to length 1. */
  readonly normalize: boolean;
  /** Shorter embeddings that the model was trained for: `any`, these lengths, or none. */
  readonly dimensions: 'any' | readonly number[];
}

/** Why a checkpoint's embeddings would not be those that its publisher means. */
export interface EmbeddingRefusal {
  readonly refused: string;
}

export type Embedding = EmbeddingRule | EmbeddingRefusal;

/** Files of sentence-transformers, in whose `modules.json` the rest is named. */
export const MODULES_FILE = 'modules.json';
const MODULE_PATH = /^[\w.-]{1,64}$/;

/** As vLLM does with a decoder that says nothing: the last token's, of length 1. */
const OF_A_DECODER = { pooling: 'last', normalize: true } as const;

/**
 * @param config config.json: `matryoshka_dimensions` or `is_matryoshka` allow shorter embeddings, as in vLLM
 * @param read JSON of a file of the checkpoint; noted as read
 */
export function readEmbedding(
  files: { has(name: string): boolean },
  config: JsonObject,
  read: (name: string) => unknown,
): Embedding {
  const dimensions = shorterOf(config);
  if (!files.has(MODULES_FILE)) return { ...OF_A_DECODER, dimensions };
  const modules = read(MODULES_FILE);
  if (!Array.isArray(modules)) return { refused: `${MODULES_FILE} is no list of modules` };
  let pooling: EmbeddingRule['pooling'] | undefined;
  let normalize = false;
  for (const module of modules) {
    const { type, path } = isJsonObject(module) ? module : {};
    const kind = typeof type === 'string' ? type.split('.').at(-1) : undefined;
    if (kind === 'Transformer') continue;
    if (kind === 'Normalize') normalize = true;
    else if (kind === 'Pooling' && typeof path === 'string' && MODULE_PATH.test(path)) {
      const found = poolingOf(read(`${path}/config.json`));
      if (typeof found !== 'string') return found;
      pooling = found;
    } else return { refused: `its module ${String(kind).slice(0, 60)} is not executed here` };
  }
  if (pooling === undefined) return { refused: `${MODULES_FILE} names no pooling` };
  return { pooling, normalize, dimensions };
}

/** By pooling.type of GGUF: 0 none, 1 mean, 2 first token, 3 last token. */
export function embeddingOfGguf(poolingType: unknown, config: JsonObject): Embedding {
  const dimensions = shorterOf(config);
  if (poolingType === 1) return { pooling: 'mean', normalize: true, dimensions };
  if (poolingType === undefined || poolingType === 0 || poolingType === 3) return { ...OF_A_DECODER, dimensions };
  return { refused: `its pooling type ${String(poolingType)} is neither mean nor last token` };
}

const MODE_KEY = /^pooling_mode_/;

function poolingOf(json: unknown): EmbeddingRule['pooling'] | EmbeddingRefusal {
  const modes = Object.entries(isJsonObject(json) ? json : {})
    .filter(([key, value]) => MODE_KEY.test(key) && value === true)
    .map(([key]) => key.replace(MODE_KEY, ''));
  if (modes.length === 1 && modes[0] === 'lasttoken') return 'last';
  if (modes.length === 1 && modes[0] === 'mean_tokens') return 'mean';
  return { refused: `its pooling is ${modes.join(' and ') || 'none'}, which is neither mean_tokens nor lasttoken` };
}

function shorterOf({
  matryoshka_dimensions: listed,
  is_matryoshka: isMatryoshka,
}: JsonObject): EmbeddingRule['dimensions'] {
  if (Array.isArray(listed)) return listed.filter((each): each is number => Number.isInteger(each) && Number(each) > 0);
  return isMatryoshka === true ? 'any' : [];
}
