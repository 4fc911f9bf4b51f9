// What watchers of a run say, held against what the run counts itself.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findWafer, resolveWafer } from '../../spec/index.ts';
import { collectives, type LineShape } from '../../wafer/index.ts';
import { createActivity, simulate, timingOf, type Activity, type Simulation } from '../cycle/index.ts';
import { chromeTrace, createRecorder, type Recorder, type TraceEvent } from './index.ts';

const wafer = resolveWafer(findWafer('wse2'));
const timing = timingOf(wafer);

const cases = fc.record({
  id: fc.constantFrom(...Object.keys(collectives)),
  line: fc.record({
    parts: fc.integer({ min: 1, max: 30 }),
    values: fc.integer({ min: 1, max: 20 }),
    type: fc.constantFrom('fp32', 'fp16'),
    group: fc.integer({ min: 1, max: 6 }),
  }),
});

interface Watched {
  readonly run: Simulation;
  readonly activity: Activity;
  readonly recorder: Recorder;
}

function watch(id: string, line: LineShape, maxEvents?: number): Watched {
  let activity: Activity | undefined;
  let recorder: Recorder | undefined;
  const run = simulate(collectives[id].lower(line, wafer).program, wafer, {
    observe: (m) => {
      activity = createActivity(m, timing);
      const region = { x: 0, y: 0, width: line.parts, height: 1 };
      recorder = createRecorder(m, timing, { region, ...(maxEvents === undefined ? {} : { maxEvents }) });
      return [activity, recorder];
    },
  });
  return { run, activity: activity as unknown as Activity, recorder: recorder as unknown as Recorder };
}

/** Cycles covered by at least one of the events, which come in order of start. */
function covered(events: readonly TraceEvent[]): number {
  let sum = 0;
  let until = 0;
  for (const { start, cycles } of events) {
    sum += Math.max(0, start + cycles - Math.max(start, until));
    until = Math.max(until, start + cycles);
  }
  return sum;
}

describe('watching a run', () => {
  it('changes nothing', () => {
    fc.assert(
      fc.property(cases, ({ id, line }) => {
        const alone = simulate(collectives[id].lower(line, wafer).program, wafer);
        const { run } = watch(id, line);
        expect([run.cycles, run.counts, run.busy]).toEqual([alone.cycles, alone.counts, alone.busy]);
      }),
      { numRuns: 20 },
    );
  });

  it('sees every hop on its link, and every CE busy only while something is begun', () => {
    fc.assert(
      fc.property(cases, ({ id, line }) => {
        const { run, activity } = watch(id, line);
        expect(run.links.reduce((sum, n) => sum + n, 0)).toBe(run.counts.hops);
        for (let pe = 0; pe < line.parts; pe++) {
          const links = run.links.subarray(4 * pe, 4 * pe + 4);
          expect(links.reduce((sum, n) => sum + n, 0)).toBe(run.load[pe]);
          expect(activity.held[pe]).toBeGreaterThanOrEqual(run.busy[pe]);
          expect(activity.held[pe]).toBeLessThanOrEqual(run.cycles);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('records events that cover exactly the cycles in which something is begun', () => {
    fc.assert(
      fc.property(cases, ({ id, line }) => {
        const { run, activity, recorder } = watch(id, line);
        const events = [...recorder.events()];
        expect(events.filter(({ what }) => what.category === 'task')).toHaveLength(run.counts.tasks);
        for (let pe = 0; pe < line.parts; pe++)
          expect(covered(events.filter((event) => event.pe === pe))).toBe(activity.held[pe]);
      }),
      { numRuns: 40 },
    );
  });
});

describe('a recording at its limit', () => {
  it('holds all that ended before the cycle that it names', () => {
    fc.assert(
      fc.property(cases, fc.integer({ min: 0, max: 60 }), ({ id, line }, limit) => {
        const all = [...watch(id, line).recorder.events()];
        const { recorder } = watch(id, line, limit);
        const kept = [...recorder.events()];
        expect(kept).toHaveLength(Math.min(limit, all.length));
        expect(recorder.cutAt === undefined).toBe(all.length <= limit);
        const ended = all.filter(({ start, cycles }) => start + cycles <= (recorder.cutAt ?? Infinity));
        const key = ({ pe, thread, start, cycles }: TraceEvent): string => `${pe} ${thread} ${start} ${cycles}`;
        const names = new Set(kept.map(key));
        expect(ended.filter((event) => !names.has(key(event)))).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  it('says so in the file', () => {
    const { recorder } = watch('chain', { parts: 9, values: 4, type: 'fp32', group: 9 }, 5);
    const file = JSON.parse([...chromeTrace(recorder, { title: 'chain', width: 9 })].join('')) as {
      otherData: { cut: string };
      traceEvents: { ph: string }[];
    };
    expect(file.otherData.cut).toBe(`the limit of events was reached in cycle ${recorder.cutAt}`);
    expect(file.traceEvents.filter(({ ph }) => ph === 'X')).toHaveLength(5);
  });
});
