// Counts of latent attention and of soft caps: no PE works less than its share, none much more.

import { describe, expect, it } from 'vitest';
import { graphOf, type Op } from '../../model/index.ts';
import { findLlm } from '../../spec/index.ts';
import { inputAxes } from '../plan.ts';
import type { Axis } from '../reduction.ts';
import { kernels, type Kernel, type KernelContext } from './index.ts';

const side = 512;
const context: KernelContext = {
  width: side,
  height: side,
  tokens: 1,
  cached: 0,
  type: 'fp16',
  group: (parts) => Math.ceil(Math.sqrt(parts)),
  expVectors: 14,
};

const layerOf = (id: string, layer: number): readonly Op[] => graphOf(findLlm(id).shape).layers[layer];
const phasesOf = (op: Op, axis: Axis, changed: Partial<KernelContext> = {}) =>
  (kernels[op.kind] as Kernel<Op>).phases(op, axis, { ...context, ...changed });

describe('latent attention', () => {
  const ops = layerOf('deepseek-v3', 10);
  const axes = inputAxes(ops, 'y');

  it.each(['q.absorbed', 'attended'])('%s: multiply-adds are spread over all PEs', (out) => {
    const op = ops.find((one) => one.out === out);
    if (op?.kind !== 'head-linear') throw new Error(`${out} is a matrix for each head`);
    const multiply = phasesOf(op, axes.get(op) ?? 'y').find(({ name }) => name === 'multiply');
    const onOnePe = multiply?.vectors.reduce((sum, { count, length }) => sum + count * length, 0) ?? 0;
    const share = (op.heads * op.k * op.n) / side ** 2;
    expect(onOnePe).toBeGreaterThanOrEqual(share);
    // Tiles do not divide, and a head's queries lie beside elements that only pass.
    expect(onOnePe).toBeLessThan(2 * share);
  });

  it('puts keys where the queries of all heads come to lie, and caches one vector a token', () => {
    const attention = ops.find((op) => op.kind === 'attention');
    const writer = (name: string): Op | undefined => ops.find(({ out }) => out === name);
    const key = writer('kv.turned');
    if (attention?.kind !== 'attention' || key === undefined) throw new Error('a layer has attention');
    expect(axes.get(attention)).toBe(axes.get(key));
    const appended = phasesOf(attention, 'x').filter(({ name }) => name === 'append');
    // 512 + 64 elements over 512 PEs, two fp16 values a wavelet.
    expect(appended.map(({ wavelets }) => wavelets)).toEqual([1]);
  });
});

describe('soft caps', () => {
  it('cost where there are any, on scores as many as positions', () => {
    const capped = layerOf('gemma-2-9b', 1).find((op) => op.kind === 'attention');
    if (capped?.kind !== 'attention') throw new Error('a layer has attention');
    const divisions = (op: Op, cached: number): number =>
      phasesOf(op, 'x', { cached })
        .filter(({ name }) => name === 'soft cap')
        .reduce((sum, phase) => sum + phase.divisions, 0);
    const { softcap: _, ...uncapped } = capped;
    expect(divisions(uncapped, 4096)).toBe(0);
    // Two queries share each key; 4096 positions over 512 rows are 8 a PE, 2048 are 4.
    expect(divisions(capped, 4095)).toBe(2 * 8);
    expect(divisions(capped, 2047)).toBe(2 * 4);
  });
});
