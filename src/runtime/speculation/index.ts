export { createModelDrafter, type DraftModelOptions } from './draft-model.ts';
export type { Drafter, DraftWant, Proposal } from './drafter.ts';
export { createNgramDrafter } from './ngram.ts';
