import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { seconds } from '../core/index.ts';
import { createDeadlines } from './deadlines.ts';

const request = (deadline?: number) => (deadline === undefined ? {} : { deadline: seconds(deadline) });

describe('deadlines', () => {
  it('name each request that is still there once, the earliest first, when its time has come', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ deadline: fc.integer({ min: 0, max: 20 }), ends: fc.integer({ min: 0, max: 20 }) })),
        (given) => {
          const deadlines = createDeadlines<{ readonly deadline: ReturnType<typeof seconds>; readonly ends: number }>();
          const all = given.map(({ deadline, ends }) => ({ deadline: seconds(deadline), ends }));
          for (const each of all) deadlines.add(each);
          for (let now = 0; now <= 20; now++) {
            for (const each of all) if (each.ends === now) deadlines.remove(each);
            const named = [];
            for (let late = deadlines.overdue(seconds(now)); late; late = deadlines.overdue(seconds(now)))
              named.push(late);
            expect(named).toEqual(all.filter(({ deadline, ends }) => deadline === now && ends > now));
            const inProgress = all.filter(({ deadline, ends }) => deadline > now && ends > now);
            expect(deadlines.size).toBeGreaterThanOrEqual(inProgress.length);
          }
          expect(deadlines.size).toBe(0);
        },
      ),
    );
  });

  it('hold at most one that has ended for each in progress', () => {
    const deadlines = createDeadlines();
    const staying = [request(500), request(400), request()];
    for (const each of staying) deadlines.add(each);
    for (let i = 0; i < 1000; i++) {
      const passing = request(100_000 + i);
      deadlines.add(passing);
      deadlines.remove(passing);
      expect(deadlines.size).toBeLessThanOrEqual(4);
    }
    expect(deadlines.overdue(seconds(399))).toBeUndefined();
    expect(deadlines.overdue(seconds(400))).toBe(staying[1]);
    expect(deadlines.overdue(seconds(400))).toBeUndefined();
    deadlines.remove(staying[0]);
    expect(deadlines.size).toBe(0);
  });
});
