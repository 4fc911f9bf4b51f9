import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { builtDigest, sourceDigest } from '../../../scripts/build-wasm.ts';
import { widenInto } from '../../model/index.ts';
import {
  clampedSilu32,
  exp32,
  f32,
  geluTanh32,
  reduceInOrder,
  roundToBf16,
  roundToE4m3,
  roundToF16,
  silu32,
  tanh32,
} from '../../wafer/index.ts';
import type { ReductionPlan } from '../../wafer/index.ts';
import { loadKernels } from './kernels.node.ts';
import { instantiate, type Kernels } from './kernels.ts';
import * as layout from './layout.ts';

const memory = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
const words = new Int32Array(memory.buffer);
let kernels: Kernels;
beforeAll(async () => {
  kernels = instantiate(await loadKernels(), memory);
});

const anyFloat = fc.oneof(fc.float({ noNaN: true }), fc.float({ noNaN: true, min: -100, max: 100 }));

describe('kernels', () => {
  it('are built from these sources', () => {
    // After a change of the kernels: npm run prepare.
    expect(builtDigest()).toBe(sourceDigest());
  });

  it('compute exp, silu, gelu and tanh as defined, bit for bit', () => {
    fc.assert(
      fc.property(anyFloat, (x) => {
        expect(kernels.expOf(x)).toBe(exp32(x));
        expect(kernels.tanhOf(x)).toBe(tanh32(x));
        expect(kernels.siluOf(x)).toBe(silu32(x));
        expect(kernels.geluTanhOf(x)).toBe(geluTanh32(x));
        expect(kernels.clampedSiluOf(x, f32(x / 3))).toBe(clampedSilu32(x, f32(x / 3)));
      }),
      { numRuns: 5000 },
    );
  });

  it('round to 16 bits as defined', () => {
    const widened = (bits: number, dtype: 'bf16' | 'f16'): number => {
      const out = new Float32Array(1);
      widenInto(out, 0, new Uint8Array(Uint16Array.of(bits).buffer), dtype);
      return out[0];
    };
    fc.assert(
      fc.property(fc.oneof(anyFloat, fc.float({ noNaN: true, min: f32(-1e-4), max: f32(1e-4) })), (x) => {
        if (Number.isFinite(x)) expect(widened(kernels.bf16Of(x), 'bf16')).toBe(roundToBf16(x));
        expect(widened(kernels.f16Of(x), 'f16')).toBe(roundToF16(x));
      }),
      { numRuns: 5000 },
    );
  });

  it('round to e4m3 as defined', () => {
    // OFP8 1.0, section 5.
    const valueOf = (code: number): number => {
      const [exponent, fraction] = [(code >> 3) & 15, (code & 7) / 8];
      return (code >> 7 ? -1 : 1) * (exponent === 0 ? 2 ** -6 * fraction : 2 ** (exponent - 7) * (1 + fraction));
    };
    fc.assert(
      fc.property(fc.oneof(fc.float({ min: -500, max: 500, noNaN: true }), anyFloat), (x) => {
        expect(valueOf(kernels.e4m3Of(x))).toBe(roundToE4m3(x));
      }),
      { numRuns: 5000 },
    );
  });

  it('convert stored elements and count those that are not finite', () => {
    const floats = new Float32Array(memory.buffer);
    const at = 65_536;
    const out = 2 * 65_536;
    floats.set([1, -2.5, 70_000, 1e-6], at / 4);
    expect(kernels.convert(out, layout.formatF32, at, layout.formatF32, 4)).toBe(0);
    expect([...floats.subarray(out / 4, out / 4 + 4)]).toEqual([1, -2.5, 70_000, 1e-6].map(f32));
    expect(kernels.convert(out, layout.formatF16, at, layout.formatF32, 4)).toBe(1);
    expect(kernels.convert(out, layout.formatF32, out, layout.formatF16, 1)).toBe(0);
    new Uint16Array(memory.buffer).set([0x3c00, 0x7c00, 0x7f80], at / 2);
    expect(kernels.convert(out, layout.formatF32, at, layout.formatF16, 2)).toBe(1);
    expect(kernels.convert(out, layout.formatBf16, at + 4, layout.formatBf16, 1)).toBe(1);
  });
});

/** Sum terms as the runs say, with the accumulator levels of the kernels. */
function sumOverRuns(start: number, end: number, term: (i: number) => number): number {
  const levels = [0, 0, 0];
  let chain = 0;
  for (let run = start / 4; run < end / 4; run += layout.runBytes / 4) {
    const [first, tiles, tile, code] = words.subarray(run, run + 4);
    for (let i = 0; i < tiles; i++) {
      const from = code & layout.runDescending ? first - i * tile : first + i * tile;
      let partial = term(from);
      for (let j = 1; j < tile; j++) partial = f32(partial + term(from + j));
      chain = f32(chain + partial);
    }
    const level = code & layout.runLevelMask;
    if (level === 0) continue;
    levels[0] = f32(levels[0] + chain);
    chain = 0;
    for (let i = 1; i < level; i++) {
      levels[i] = f32(levels[i] + levels[i - 1]);
      levels[i - 1] = 0;
    }
  }
  return levels[2];
}

describe('makeRuns', () => {
  const plans = fc.record({
    tile: fc.integer({ min: 1, max: 9 }),
    parts: fc.integer({ min: 1, max: 40 }),
    group: fc.integer({ min: 1, max: 12 }),
  });
  const ranges = fc.record({ plan: plans, a: fc.nat(), b: fc.nat(), seed: fc.nat() });

  it('add any range of elements in the order of the tree, bit for bit', () => {
    fc.assert(
      fc.property(ranges, ({ plan, a, b, seed }) => {
        const length = plan.tile * plan.parts;
        const from = a % length;
        const to = from + 1 + (b % (length - from));
        // Terms of very different size and sign, zeros of both signs among them: any other order shows.
        const term = (i: number): number => {
          const h = Math.imul(i + seed + 1, 0x9e3779b1) >>> 0;
          return h % 7 === 0 ? -0 : f32((((h >>> 8) & 0xffff) / 0x8000 - 1) * 2 ** ((h >>> 24) % 12));
        };
        const start = 1024;
        const end = kernels.makeRuns(from, to, plan.tile, plan.parts, plan.group, start);
        expect(sumOverRuns(start, end, term)).toBe(inOrder(plan, from, to, term));
        expect(end - start).toBeLessThanOrEqual((3 * Math.ceil(plan.parts / plan.group) + 2) * layout.runBytes);
      }),
      { numRuns: 3000 },
    );
  });

  function inOrder(plan: ReductionPlan, from: number, to: number, term: (i: number) => number): number {
    const partial = (part: number): number => {
      let sum = 0;
      for (let i = Math.max(from, part * plan.tile); i < Math.min(to, (part + 1) * plan.tile); i++)
        sum = f32(sum + term(i));
      return sum;
    };
    return reduceInOrder(plan, partial, f32);
  }

  it('put rows together by expert: every route has a place of its own, and only experts that are picked have any', () => {
    const groupRows = (kernels as unknown as Record<string, (...addresses: number[]) => void>)['groupRows'];
    const [groups, routes, places, sources, scratch] = [1, 2, 3, 4, 5].map((i) => i * 16_384);
    const experts = 20;
    const picks = fc.integer({ min: 1, max: 6 }).chain((active) =>
      fc.array(fc.uniqueArray(fc.integer({ min: 0, max: experts - 1 }), { minLength: active, maxLength: active }), {
        minLength: 1,
        maxLength: 40,
      }),
    );
    fc.assert(
      fc.property(picks, (rows) => {
        const active = rows[0].length;
        const flat = rows.flat();
        for (const [i, expert] of flat.entries()) words[(routes + i * layout.routeBytes) / 4] = expert;
        groupRows(groups, routes, rows.length, active, experts, places, sources, scratch);
        const [count, used] = words.subarray(groups / 4, groups / 4 + 2);
        const expertAt = new Map<number, number>();
        const seen: number[] = [];
        for (let group = 0; group < count; group++) {
          const at = (groups + layout.groupHeader + group * layout.groupBytes) / 4;
          const [expert, first, size] = words.subarray(at, at + 3);
          seen.push(expert);
          expect(first % layout.tokenGroup).toBe(0);
          for (let place = first; place < first + size; place++) expertAt.set(place, expert);
        }
        expect(seen).toEqual([...new Set(flat)].sort((a, b) => a - b));
        expect(expertAt.size).toBe(flat.length);
        for (const [i, expert] of flat.entries()) {
          const place = words[places / 4 + i];
          expect(expertAt.get(place)).toBe(expert);
          expect(words[sources / 4 + place]).toBe(Math.floor(i / active));
          expertAt.delete(place);
        }
        expect(expertAt.size).toBe(0);
        const padding = [...words.subarray(sources / 4, sources / 4 + used)].filter((source) => source < 0);
        expect(padding).toHaveLength(used - flat.length);
      }),
      { numRuns: 300 },
    );
  });
});
