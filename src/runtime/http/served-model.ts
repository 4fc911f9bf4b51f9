import { createRng } from '../../core/index.ts';
import type { Embedding, Tokenizer } from '../../model/index.ts';
import type { ModelList, ModelRecord } from '../../protocol/index.ts';
import type { Engine } from '../engine.ts';
import { createAnswerGrammars, type AnswerGrammars } from './answer-grammar.ts';
import type { HardwareModel } from '../telemetry/index.ts';
import { createPromptEncoder, type PromptEncoder } from './prompts.ts';
import { mayThink, THINK, THOUGHT } from './reasoning.ts';
import { toolFormatOf, type ModelToolFormat } from './tool-format/index.ts';

/** A model as the API offers it. */
export interface ServedModel {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly ownedBy: string;
  readonly engine: Engine;
  readonly tokenizer: Tokenizer;
  /** Tokens that end an answer: those that tokenizer and checkpoint name. */
  readonly eos: readonly number[];
  /** How its hidden states become embeddings; absent where there are none. */
  readonly embedding?: Embedding;
  /** Makes prompts; default on this thread. */
  readonly prompts?: PromptEncoder;
  /** The simulated machine that it runs on; without it there are no hardware series. */
  readonly hardware?: HardwareModel;
}

/** With what the API derives of it once. */
export interface PreparedModel extends ServedModel {
  readonly prompts: PromptEncoder;
  readonly grammars: AnswerGrammars;
  /** Names what answers depend on besides the request: the version of a model, and the machine that it is placed on. */
  readonly fingerprint: string;
  /** How it writes calls of tools. */
  readonly toolFormat: ModelToolFormat;
  /** Tokens that are text even where they are special: around thoughts, and where tools are offered around calls. */
  readonly marks: { readonly plain: ReadonlySet<number>; readonly tools: ReadonlySet<number> };
}

/** @param version its number under its name */
export function prepareModel(model: ServedModel, version: number): PreparedModel {
  const { tokenizer, eos } = model;
  const template = tokenizer.chatTemplate ?? '';
  const toolFormat = toolFormatOf(template);
  /** Those that are one token of the vocabulary. */
  const idsOf = (texts: readonly string[]): number[] =>
    texts.map((text) => tokenizer.encode(text, { addSpecial: false })).flatMap((ids) => (ids.length === 1 ? ids : []));
  const thoughtMarks = new Set(mayThink(template) ? idsOf([THINK, THOUGHT]) : []);
  return {
    ...model,
    prompts: model.prompts ?? createPromptEncoder(tokenizer),
    grammars: createAnswerGrammars(tokenizer, eos),
    fingerprint: fingerprintOf(model, version),
    toolFormat,
    marks: { plain: thoughtMarks, tools: new Set([...thoughtMarks, ...idsOf(toolFormat.format.marks)]) },
  };
}

function fingerprintOf({ id, engine }: ServedModel, version: number): string {
  const rng = createRng(0).fork(`${id} ${version} ${engine.waferBasis ?? ''} ${engine.maxContext}`);
  return `fp_${[rng.u32(), rng.u32()].map((word) => word.toString(16).padStart(8, '0')).join('')}`;
}

/** @param name what it was asked for by, where that is an alias */
export function modelRecord(model: PreparedModel, name = model.id): ModelRecord {
  const { tokenizer, engine } = model;
  const hasChat = tokenizer.hasChatTemplate;
  return {
    id: name,
    object: 'model',
    ...(name === model.id ? {} : { alias_of: model.id }),
    created: model.created,
    owned_by: model.ownedBy,
    limits: { max_context_length: engine.maxContext, max_completion_tokens: engine.maxContext - 1 },
    capabilities: {
      chat: hasChat,
      streaming: true,
      structured_outputs: true,
      tools: hasChat,
      reasoning: hasChat && mayThink(tokenizer.chatTemplate ?? ''),
      embeddings: model.embedding !== undefined && !('refused' in model.embedding),
    },
  };
}

/** Each model, and each alias as a record of its own. */
export const modelList = (
  models: readonly PreparedModel[],
  aliases: ReadonlyMap<string, string> = new Map(),
): ModelList => ({
  object: 'list',
  data: models.flatMap((model) => [
    modelRecord(model),
    ...[...aliases].flatMap(([alias, id]) => (id === model.id ? [modelRecord(model, alias)] : [])),
  ]),
});
