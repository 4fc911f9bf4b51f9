import type { AddOp } from '../../model/index.ts';
import { phase } from '../phase.ts';
import { along } from './kernel.ts';
import type { Kernel } from './kernel.ts';

/** One vector addition on each PE; both operands lie alike. */
export const add: Kernel<AddOp> = {
  phases: (op, axis, context) => {
    const length = Math.ceil(op.width / along(axis, context)) * context.tokens;
    return [phase('add', { vectors: [{ count: 1, length, type: context.type }] })];
  },
};
