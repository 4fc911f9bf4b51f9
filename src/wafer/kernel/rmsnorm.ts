import type { RmsNormOp } from '../../model/index.ts';
import { phase } from '../phase.ts';
import { allReduceOf, along } from './kernel.ts';
import type { Kernel } from './kernel.ts';

/** Sum of squares on each PE, all-reduced along the axis (per head: only over the PEs of the head), then scaled. */
export const rmsnorm: Kernel<RmsNormOp> = {
  phases: (op, axis, context) => {
    const { tokens, type } = context;
    const parts = along(axis, context);
    const tile = Math.ceil(op.width / parts);
    const partsPerGroup = Math.max(1, Math.min(parts, Math.ceil(op.width / op.groups / tile)));
    const sumsPerPe = Math.max(1, Math.ceil((tile * op.groups) / op.width));
    const values = tokens * tile;
    return [
      phase('squares', { vectors: [{ count: 1, length: values, type }] }),
      ...allReduceOf(partsPerGroup, tokens * sumsPerPe, context),
      // A square root and a division per sum, then by the inverse and by the weight.
      phase('scale', { divisions: 2 * tokens * sumsPerPe, vectors: [{ count: 2, length: values, type }] }),
    ];
  },
};
