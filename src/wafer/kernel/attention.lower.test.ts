import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { priceSequence } from '../../sim/index.ts';
import { collectives, groupSize } from '../index.ts';
import { lowerAttention, type AttentionSpec } from './attention.lower.ts';
import { attentionReference } from './testing/attention-reference.ts';
import { along, across } from './kernel.ts';
import { held } from './lower/exponential.ts';
import type { Tensors } from './lower/lowering.ts';
import { allReduceBeyond, normals, runLowered, wse2 } from './testing/run-lowered.ts';

const shapes = fc
  .record({
    heads: fc.integer({ min: 1, max: 3 }),
    headParts: fc.integer({ min: 1, max: 4 }),
    tile: fc.integer({ min: 1, max: 6 }),
    rows: fc.integer({ min: 1, max: 7 }),
    more: fc.integer({ min: 0, max: 40 }),
    axis: fc.constantFrom('x', 'y'),
    type: fc.constantFrom('fp32', 'fp16'),
    id: fc.constantFrom('chain', 'two-phase', 'two-level', 'pipeline'),
    seed: fc.nat(1000),
  })
  .map(({ heads, headParts, tile, rows, more, axis, type, id, seed }) => {
    const channels = heads * headParts;
    const spec: AttentionSpec = {
      width: axis === 'x' ? channels : rows,
      height: axis === 'x' ? rows : channels,
      axis,
      type,
      heads,
      headDim: headParts * tile,
      cached: rows - 1 + more,
      collective: collectives[id],
      group: groupSize,
    };
    return { spec, seed };
  });

/** Collectives whose relays are tasks. */
const isDriven = (id: string): boolean => id === 'two-level' || id === 'pipeline';
/** At most eight settings of DSDs and registers, and two branches to the turn. */
const ENTRY_CYCLES = 10;

function tensorsOf({ heads, headDim, cached, type }: AttentionSpec, seed: number): Tensors {
  const width = heads * headDim;
  const draw = (length: number, label: number, scale = 1): Float64Array =>
    normals(length, seed + 10_000 * label).map((v) => held(v * scale, type));
  return {
    q: draw(width, 1, 1 / Math.sqrt(headDim)),
    k: draw(width, 2),
    v: draw(width, 3),
    cacheK: draw(width * cached, 4),
    cacheV: draw(width * cached, 5),
  };
}

describe('attention over a distributed cache', () => {
  it('is softmax(q · K) V with the new position in the last row', () => {
    fc.assert(
      fc.property(shapes, ({ spec, seed }) => {
        const tensors = tensorsOf(spec, seed);
        const { values } = runLowered(lowerAttention(spec, wse2), tensors, seed);
        const { out, score, largest } = attentionReference(spec, tensors);
        const unit = spec.type === 'fp32' ? 2 ** -24 : 2 ** -11;
        // A score errs by a rounding per addition, and its error is a relative one of the weight; weights err by the
        // exponential (6 units), their sums by a rounding per position, above and below the line.
        const { headDim, width, height, cached } = spec;
        const relative = (headDim + width + height) * score * unit * 2 + (2 * (cached + width + height) + 20) * unit;
        values.forEach((v, i) => expect(Math.abs(v - out[i])).toBeLessThanOrEqual(relative * largest));
      }),
      { numRuns: 20 },
    );
  });

  it('takes its closed form, less what rows with one position less and the last row save', () => {
    fc.assert(
      fc.property(shapes, ({ spec }) => {
        const { cycles, priced } = runLowered(lowerAttention(spec, wse2), tensorsOf(spec, 1));
        const { axis, type, heads, headDim, cached, collective, group } = spec;
        const [headParts, rows] = [along(axis, spec) / heads, across(axis, spec)];
        const tile = headDim / headParts;
        const positions = Math.ceil((cached + 1) / rows);
        const line = (parts: number, values: number) => ({ parts, values, type, group: group(parts) });
        const collectivesBeyond =
          allReduceBeyond(collective, line(headParts, positions)) +
          2 * allReduceBeyond(collective, line(rows, 1)) +
          allReduceBeyond(collective, line(rows, tile));
        const saved = priced + wse2.taskStart + collectivesBeyond - cycles;
        // Sums that stay in one bank meet the others there, once in eight words. Tasks that all three all-reduces over
        // the rows enter: a branch for the maximum at every relay, settings before it and a choice behind it.
        const entries = rows > 1 && isDriven(collective.id) ? 3 * (rows + ENTRY_CYCLES) : 0;
        expect(saved).toBeGreaterThanOrEqual(-2 * Math.floor(positions / wse2.sramBanks) - entries);
        // The row that grows by the new position sends nothing, and the last one has it at hand.
        const phases = lowerAttention(spec, wse2).phases;
        const append = priceSequence(
          phases.filter(({ name }) => name === 'append'),
          wse2,
        );
        const onePosition =
          priceSequence(
            phases.filter(({ name }) => name === 'weighted values'),
            wse2,
          ) /
            positions +
          20 +
          tile;
        expect(saved).toBeLessThanOrEqual(append + onePosition);
      }),
      { numRuns: 20 },
    );
  });

  it('refuses shapes that do not fill the mesh', () => {
    const spec = {
      width: 4,
      height: 4,
      axis: 'x',
      type: 'fp32',
      collective: collectives['chain'],
      group: groupSize,
    } as const;
    expect(() => lowerAttention({ ...spec, heads: 3, headDim: 8, cached: 8 }, wse2)).toThrow(/KERNEL_SHAPE/);
    expect(() => lowerAttention({ ...spec, heads: 2, headDim: 8, cached: 2 }, wse2)).toThrow(/KERNEL_SHAPE/);
  });
});
