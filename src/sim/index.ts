export { collectiveCycles, priceSequence } from './analytic/collective-cost.ts';
export { price, priceAll, total } from './analytic/price.ts';
export type { Breakdown } from './analytic/price.ts';
export { createPlacementCost } from './analytic/placement-cost.ts';
export { createSectionCost, kernelContext, layerCycles } from './analytic/section-cost.ts';
export { createStepModel } from './analytic/step-model.ts';
export type { AnalyticStepModel, StepCost, Throughput } from './analytic/step-model.ts';
export { powerAt, stageEnergies, tokenRate } from './analytic/energy.ts';
export type { PowerAt, StageEnergy } from './analytic/energy.ts';
export { gemmSide, overOf, streamedDecode, streamingMemory, trainingStep } from './analytic/weight-streaming.ts';
export type { StreamedDecode, StreamingMemory, TrainingStep } from './analytic/weight-streaming.ts';
export { createHardwareModel } from './analytic/hardware.ts';
export { dieGrid, heatMap } from './analytic/heat.ts';
export type { HeatMap } from './analytic/heat.ts';
export { createActivity, engines, simulate, timingOf } from './cycle/index.ts';
export type {
  Activity,
  Breakdown as CycleBreakdown,
  Counts as CycleCounts,
  Simulation,
  SimulateOptions,
} from './cycle/index.ts';
export { chromeTrace, createRecorder, LINK_WINDOW, MAX_TRACE_EVENTS } from './trace/index.ts';
export type { Recorder, RecorderOptions, TraceEvent, TraceTitle } from './trace/index.ts';
