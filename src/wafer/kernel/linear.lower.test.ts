import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { priceSequence } from '../../sim/index.ts';
import { simulate } from '../../sim/cycle/index.ts';
import { collectives, groupSize, reduceInOrder } from '../index.ts';
import { dtypeCode } from '../machine/index.ts';
import { roundTo } from '../machine/arithmetic.ts';
import { along, across } from './kernel.ts';
import { lowerLinear, type LinearSpec } from './linear.lower.ts';
import type { Tensors } from './lower/lowering.ts';
import { allReduceBeyond, normals, runLowered, wse2 } from './testing/run-lowered.ts';

const shapes = fc.record({
  width: fc.integer({ min: 1, max: 12 }),
  height: fc.integer({ min: 1, max: 12 }),
  axis: fc.constantFrom('x', 'y'),
  type: fc.constantFrom('fp32', 'fp16'),
  k: fc.integer({ min: 1, max: 60 }),
  n: fc.integer({ min: 1, max: 60 }),
  bias: fc.boolean(),
  group: fc.integer({ min: 1, max: 5 }),
});
const reduces = Object.values(collectives).filter(({ id, does }) => does === 'reduce' || id === 'pipeline');

const tensorsOf = ({ k, n, type }: LinearSpec, seed: number): Tensors => {
  const round = (values: Float64Array): Float64Array => values.map((v) => roundTo(dtypeCode[type], v));
  return { x: round(normals(k, seed)), w: round(normals(n * k, seed + 1)), bias: round(normals(n, seed + 2)) };
};

/** y and, for each of its elements, the sum of the magnitudes that were added. */
function reference({ k, n, bias }: LinearSpec, { x, w, bias: b }: Tensors): { y: number[]; scale: number[] } {
  const terms = (j: number): number[] => [...Array.from({ length: k }, (_, i) => w[j * k + i] * x[i]), bias ? b[j] : 0];
  const rows = Array.from({ length: n }, (_, j) => terms(j));
  return {
    y: rows.map((row) => row.reduce((sum, term) => sum + term, 0)),
    scale: rows.map((row) => row.reduce((sum, term) => sum + Math.abs(term), 0)),
  };
}

const lineOf = (spec: LinearSpec) => ({
  parts: along(spec.axis, spec),
  values: Math.ceil(spec.n / across(spec.axis, spec)),
  type: spec.type,
  group: spec.group,
});

describe.each(reduces)('GEMV by $id', (collective) => {
  it('is W x + b within the error of one rounding per addition', () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 0, max: 1000 }), (shape, seed) => {
        const spec: LinearSpec = { ...shape, collective };
        const tensors = tensorsOf(spec, seed);
        const { values } = runLowered(lowerLinear(spec, wse2), tensors, seed);
        const { y, scale } = reference(spec, tensors);
        // Higham 2002, section 3.1: n rounded additions err by at most n u / (1 - n u) of the magnitudes.
        const additions = (shape.k + shape.width + shape.height) * (shape.type === 'fp32' ? 2 ** -24 : 2 ** -11);
        const bound = additions / (1 - additions);
        // Below the normal numbers of fp16 a rounding errs by half of their spacing.
        const below = (shape.k + shape.width + shape.height) * (shape.type === 'fp16' ? 2 ** -25 : 0);
        values.forEach((v, j) => expect(Math.abs(v - y[j])).toBeLessThanOrEqual(bound * scale[j] + below));
      }),
      { numRuns: 8 },
    );
  });

  it('takes the cycles of its closed form, and what its collective alone takes beyond its own', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const spec: LinearSpec = { ...shape, collective };
        const { cycles, priced } = runLowered(lowerLinear(spec, wse2), tensorsOf(spec, 1));
        expect(cycles - priced).toBe(wse2.taskStart + allReduceBeyond(collective, lineOf(spec)));
      }),
      { numRuns: 8 },
    );
  });
});

describe('GEMV', () => {
  it('by two-level adds the tiles in the order of reduceInOrder, bit for bit', () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 0, max: 1000 }), (shape, seed) => {
        const spec: LinearSpec = { ...shape, bias: false, collective: collectives['two-level'] };
        const { k, n, group } = spec;
        const tensors = tensorsOf(spec, seed);
        const round = (v: number): number => roundTo(dtypeCode[spec.type], v);
        const parts = along(spec.axis, spec);
        const tile = Math.ceil(k / parts);
        // Each PE: a product, then multiply-accumulates, each rounded once.
        const partial = (j: number, part: number): number => {
          let sum = 0;
          for (let i = part * tile; i < Math.min(k, (part + 1) * tile); i++)
            sum = round(sum + tensors['w'][j * k + i] * tensors['x'][i]);
          return sum;
        };
        const expected = Array.from({ length: n }, (_, j) =>
          reduceInOrder({ tile, parts, group }, (part) => partial(j, part), round),
        );
        expect([...runLowered(lowerLinear(spec, wse2), tensors).values].map((v) => v + 0)).toEqual(
          expected.map((v) => v + 0),
        );
      }),
      { numRuns: 15 },
    );
  });

  it.each([
    ['chain', 64, 64, 'fp32'],
    ['two-level', 40, 48, 'fp16'],
    ['two-phase', 48, 32, 'fp16'],
  ] as const)('%s on %i x %i PEs, %s', (id, width, height, type) => {
    const spec: LinearSpec = {
      width,
      height,
      type,
      axis: 'y',
      k: 2 * height,
      n: 10 * width,
      bias: false,
      collective: collectives[id],
      group: groupSize(height),
    };
    const { program, phases } = lowerLinear(spec, wse2);
    const { cycles } = simulate(program, wse2);
    expect(cycles - priceSequence(phases, wse2)).toBe(wse2.taskStart + allReduceBeyond(spec.collective, lineOf(spec)));
  });

  it('says so when a tile does not fit a PE', () => {
    const spec: LinearSpec = {
      width: 2,
      height: 2,
      type: 'fp32',
      axis: 'x',
      k: 256,
      n: 256,
      bias: false,
      collective: collectives['chain'],
      group: 1,
    };
    expect(() => runLowered(lowerLinear(spec, wse2), tensorsOf(spec, 1))).toThrow(/SRAM_OVER/);
  });
});
