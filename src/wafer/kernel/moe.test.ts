import { describe, expect, it } from 'vitest';
import { expertOps, routerOp, type MoeOp } from '../../model/index.ts';
import { moe } from './moe.ts';
import type { KernelContext } from './kernel.ts';

const op: MoeOp = {
  kind: 'moe',
  input: 'x',
  router: 'router',
  routing: { score: 'softmax', normalize: true, scale: 1 },
  experts: 32,
  activeExperts: 4,
  gate: 'experts.{expert}.gate',
  up: 'experts.{expert}.up',
  down: 'experts.{expert}.down',
  expertBias: false,
  expertFfn: 48,
  activation: 'silu',
  width: 64,
  out: 'y',
};
const context: KernelContext = {
  width: 1,
  height: 1,
  tokens: 1,
  cached: 0,
  type: 'fp32',
  group: () => 1,
  expVectors: 14,
};
/** Multiplications of matrices: the instructions in loops. */
const products = (of: MoeOp, at: KernelContext): number =>
  moe
    .phases(of, 'y', at)
    .reduce(
      (sum, { repeat, vectors }) =>
        sum + repeat * vectors.reduce((n, { count, length, looped }) => n + (looped === true ? count * length : 0), 0),
      0,
    );

describe('a mixture on the wafer', () => {
  it('multiplies the router and the experts that a token picked, token after token', () => {
    const { gate, up, down } = expertOps(op, 0);
    const router = routerOp(op);
    const each = [gate, up, down].reduce((sum, { k, n }) => sum + k * n, 0);
    expect(products(op, context)).toBe(router.k * router.n + op.activeExperts * each);
    expect(products(op, { ...context, tokens: 5 })).toBe(5 * products(op, context));
  });
  it('does not multiply with more experts, but chooses among them', () => {
    const more = { ...op, experts: 64 };
    expect(products(more, context) - products(op, context)).toBe(32 * op.width);
    const steps = (of: MoeOp): number =>
      moe
        .phases(of, 'y', { ...context, width: 8, height: 8 })
        .reduce((sum, p) => sum + p.repeat * p.vectors.reduce((n, v) => n + v.count * v.length, 0), 0);
    expect(steps(more)).toBeGreaterThan(steps(op));
  });
  it('reduces the outputs of its experts together, before they are weighted', () => {
    const at = { ...context, width: 8, height: 8 };
    const fewer = moe.phases({ ...op, activeExperts: 1 }, 'y', at);
    const phases = moe.phases(op, 'y', at);
    const hops = (of: typeof phases): number => of.reduce((sum, p) => sum + p.repeat * p.hops, 0);
    expect(hops(phases)).toBe(hops(fewer));
    const wavelets = (of: typeof phases): number => of.reduce((sum, p) => sum + p.repeat * p.wavelets, 0);
    expect(wavelets(phases)).toBeGreaterThan(wavelets(fewer));
  });
});
