// Every kernel that is lowered to a PE-level program.

import type { Target } from '../target.ts';
import { attention } from './attention.ts';
import { embedding } from './embedding.ts';
import { kernelTarget } from './kernel-case.ts';
import { cannon, gemm, gemv, tiled } from './matrix.ts';
import { add, glu, rmsnorm, rope } from './vector.ts';

export const kernelTargets: Readonly<Record<string, Target>> = Object.fromEntries(
  [add, attention, embedding, gemm, cannon, tiled, gemv, glu, rmsnorm, rope].map((entry) => [
    entry.id,
    kernelTarget(entry),
  ]),
);
