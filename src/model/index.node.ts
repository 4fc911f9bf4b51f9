export * from './format/checkpoint.node.ts';
export { openWeightFiles, type WeightFiles } from './format/weight-files.node.ts';
