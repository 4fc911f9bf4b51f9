export { checkPruning, parsePruning, prunedGraph, pruningText, type Pruning } from './pruning.ts';
export { prunedWeights } from './pruned-weights.ts';
