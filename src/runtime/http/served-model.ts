import { nearest } from '../../core/index.ts';
import type { Tokenizer } from '../../model/index.ts';
import { ApiError, shownName, type ModelList, type ModelRecord } from '../../protocol/index.ts';
import type { Engine } from '../engine.ts';

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
}

export const modelRecord = (model: ServedModel): ModelRecord => ({
  id: model.id,
  object: 'model',
  created: model.created,
  owned_by: model.ownedBy,
  limits: { max_context_length: model.engine.maxContext },
});

export const modelList = (models: readonly ServedModel[]): ModelList => ({
  object: 'list',
  data: models.map(modelRecord),
});

/** @throws ApiError 404 model_not_found */
export function findModel(models: readonly ServedModel[], id: string): ServedModel {
  const model = models.find((candidate) => candidate.id === id);
  if (model !== undefined) return model;
  const names = models.map((candidate) => candidate.id);
  const near = nearest(id, names);
  throw new ApiError({
    status: 404,
    code: 'model_not_found',
    param: 'model',
    message: `The model '${shownName(id)}' does not exist on this server.`,
    suggestion: near === undefined ? `It serves ${names.map((n) => `'${n}'`).join(', ')}.` : `Did you mean '${near}'?`,
  });
}
