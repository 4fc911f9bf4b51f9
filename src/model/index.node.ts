export * from './format/checkpoint.node.ts';
export { openWeightFiles, type WeightFiles } from './format/weight-files.node.ts';
export { openOnnx } from './format/onnx/onnx-file.node.ts';
export { filesOf, sha256, type Files, type OpenFile } from './format/bounded-file.node.ts';
