// The work of single ops as stages, for programs that do several of them.
export { addStage } from './add.ts';
export { gluStage } from './glu.ts';
export { multiplyStage } from './linear.lower.ts';
export { headNormStages, rmsNormStages } from './rmsnorm.ts';
export { ropeMemory, ropeStage } from './rope.ts';
export { softcapStage } from './softcap.ts';
