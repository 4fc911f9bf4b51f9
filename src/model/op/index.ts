import type { Op, OpKind } from '../graph.ts';
import { add } from './add.ts';
import { attention } from './attention.ts';
import type { OpDefinition } from './definition.ts';
import { embedding } from './embedding.ts';
import { glu } from './glu.ts';
import { headLinear } from './head-linear.ts';
import { linear } from './linear.ts';
import { moe } from './moe.ts';
import { rmsnorm } from './rmsnorm.ts';
import { rope } from './rope.ts';
import { softcap } from './softcap.ts';

export type * from './definition.ts';
export { valueHeadDim, visibleKeys } from './attention.ts';
export { clampedSilu } from './glu.ts';
export { headElement } from './head-linear.ts';
export { chooseExperts, expertOps, routerOp } from './moe.ts';
export { ropeInverseFrequencies, ropeMagnitude, ropePart } from './rope.ts';

/** Every op kind, exhaustive: a kind without a definition does not compile. */
export const ops: { readonly [K in OpKind]: OpDefinition<K> } = {
  embedding,
  rmsnorm,
  linear,
  'head-linear': headLinear,
  rope,
  attention,
  glu,
  softcap,
  add,
  moe,
};

/** The definition of an op's kind, typed so that it takes the op itself. */
export const definitionOf = (op: Op): OpDefinition<OpKind> => ops[op.kind] as unknown as OpDefinition<OpKind>;
