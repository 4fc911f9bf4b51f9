// Every collective and kernel that can be simulated, by every engine that takes it: what the plain engine leaves.
import { describe, expect, it } from 'vitest';

import { IngotError } from '../../core/index.ts';
import { engines, simulate } from '../../sim/index.ts';
import { findWafer, resolveWafer } from '../../spec/index.ts';
import type { Point } from './point.ts';
import { sizesOf, targets } from './target.ts';

const wafer = resolveWafer(findWafer('wse2'));
const mesh = { width: 5, height: 4 };

function outcome(point: Point, engine: string) {
  const { program, inputs } = targets[point.kernel].prepare(point, wafer);
  const run = simulate(program, wafer, { inputs: inputs(), engine });
  const { cycles, counts, busy, load, links } = run;
  const values = program.tiles.flatMap(({ on, role }) =>
    program.roles[role].memory.map(({ name }) => run.read(on.x, on.y, name)),
  );
  return { cycles, counts, busy, load, links, values };
}

describe.each(Object.values(targets).map(({ id }) => id))('%s', (id) => {
  const reduces = targets[id].reduces ?? [undefined];
  const types = targets[id].types ?? (['fp16', 'fp32'] as const);
  it.each(reduces.flatMap((reduce) => types.map((type) => [type, reduce] as const)))(
    'in %s, sums by %s: the same by every engine',
    (type, reduce) => {
      const point: Point = {
        kernel: id,
        ...mesh,
        type,
        wafer: 'wse2',
        seed: 5,
        sizes: Object.fromEntries(
          Object.keys(targets[id].sizes).map((name) => [name, sizesOf(targets[id], {}, mesh)[name] ?? 2]),
        ),
        ...(reduce === undefined ? {} : { reduce }),
      };
      let plain;
      try {
        plain = outcome(point, 'plain');
      } catch (error) {
        // Not every kernel fits every mesh.
        if (error instanceof IngotError) return;
        throw error;
      }
      for (const engine of engines) {
        if (engine.id === 'plain') continue;
        try {
          expect(outcome(point, engine.id), engine.id).toEqual(plain);
        } catch (error) {
          if (!(error instanceof IngotError)) throw error;
          expect(error.diagnostics.map(({ code }) => code)).toEqual(['ENGINE_REFUSED']);
          expect(engine.certain).toBe(false);
        }
      }
    },
  );
});
