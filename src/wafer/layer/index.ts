export { lowerLayer, type LayerSpec } from './lower-layer.ts';
export { layerReference } from './layer-reference.ts';
export { notLowered } from './not-lowered.ts';
