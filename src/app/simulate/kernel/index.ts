// Every kernel that is lowered to a PE-level program.

import type { Target } from '../target.ts';
import { attention } from './attention.ts';
import { decodeLayer } from './decode-layer.ts';
import { embedding } from './embedding.ts';
import { kernelTarget } from './kernel-case.ts';
import { cannon, gemm, gemmT, gemv, summa, tiled } from './matrix.ts';
import { topK } from './top-k.ts';
import { add, glu, rmsnorm, rope, softmax } from './vector.ts';

export const kernelTargets: Readonly<Record<string, Target>> = Object.fromEntries(
  [
    add,
    attention,
    decodeLayer,
    embedding,
    gemm,
    cannon,
    summa,
    gemmT,
    tiled,
    gemv,
    glu,
    rmsnorm,
    rope,
    softmax,
    topK,
  ].map((entry) => [entry.id, kernelTarget(entry)]),
);
