export { collectiveCycles, priceSequence, vectorCycles } from './analytic/collective-cost.ts';
export { price, priceAll, total } from './analytic/price.ts';
export type { Breakdown } from './analytic/price.ts';
export { createCostModel, createStepModel, kernelContext } from './analytic/program-cost.ts';
export type { AnalyticStepModel, StepCost } from './analytic/program-cost.ts';
export { simulate, simulateCollective } from './cycle/index.ts';
export type {
  Breakdown as CycleBreakdown,
  CollectiveSimulation,
  Counts as CycleCounts,
  Simulation,
  SimulateOptions,
} from './cycle/index.ts';
