// The PE-level machine without time. `sim/cycle` gives it time; both run the same rules.
export * from './pe-program.ts';
export * from './assembly.ts';
export * from './control.ts';
export * from './allocate.ts';
export * from './verify.ts';
export { sramOf } from './verify-role.ts';
export * from './interpret.ts';
// For engines that schedule the rules themselves:
export * from './code.ts';
export * from './resolve.ts';
export * from './state.ts';
export * from './router.ts';
export * from './ce.ts';
export * from './block.ts';
export { flow, flowThrough } from './flow.ts';
export * from './deadlock.ts';
export { dtypeCode, isDivision, isPacked, opCode } from './arithmetic.ts';
export { neighbour, opposite, peName, portNames, ramp } from './layout.ts';
