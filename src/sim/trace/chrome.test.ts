// A trace is held to the rules of the Trace Event Format (Google, "Trace Event Format", 2016): JSON Object Format, and of
// event types complete (X), counter (C) and metadata (M). What no document says but importers need (seen by hand in the
// Performance panel of Chromium 150 and in speedscope 1.25): names before events, in the track that they name; durations
// that nest.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findWafer, resolveWafer } from '../../spec/index.ts';
import { meshCollectives } from '../../wafer/index.ts';
import { peName, type MachineProgram } from '../../wafer/machine/index.ts';
import { simulate, timingOf } from '../cycle/index.ts';
import { localProgram } from '../cycle/testing/random-local.ts';
import { variedTraffic } from '../cycle/testing/random-traffic.ts';
import { LINK_WINDOW, chromeTrace, createRecorder, type Recorder } from './index.ts';

const wafer = resolveWafer(findWafer('wse2'));

interface Event {
  readonly ph: 'M' | 'X' | 'C';
  readonly name: string;
  readonly cat?: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

interface Trace {
  readonly text: string;
  readonly events: readonly Event[];
  readonly cycles: number;
}

function trace(program: MachineProgram, inputs: Parameters<typeof simulate>[2]): Trace {
  let recorder: Recorder | undefined;
  const { width, height } = program;
  const { cycles } = simulate(program, wafer, {
    ...inputs,
    observe: (m) => {
      recorder = createRecorder(m, timingOf(wafer), { region: { x: 0, y: 0, width, height }, links: true });
      return [recorder];
    },
  });
  const text = [...chromeTrace(recorder as unknown as Recorder, { title: 'test', width })].join('');
  const file = JSON.parse(text) as { traceEvents: Event[] };
  return { text, events: file.traceEvents, cycles };
}

const programs: fc.Arbitrary<Trace> = fc.oneof(
  variedTraffic.map(({ program, inputs }) => trace(program, { inputs })),
  fc.integer().map((seed) => {
    const { program, inputs } = localProgram(seed);
    return trace(program, { inputs });
  }),
);

const track = ({ pid, tid }: Event): string => `${pid} ${tid}`;

describe('a trace file', () => {
  it('is one JSON object whose events have the fields that the format asks for, and no others', () => {
    fc.assert(
      fc.property(programs, ({ text, events, cycles }) => {
        const file = JSON.parse(text) as Record<string, unknown>;
        expect(Object.keys(file)).toEqual(['displayTimeUnit', 'otherData', 'traceEvents']);
        expect(['ms', 'ns']).toContain(file['displayTimeUnit']);
        for (const about of Object.values(file['otherData'] as object)) expect(about).toBeTypeOf('string');
        for (const event of events) {
          expect(Number.isInteger(event.pid) && event.pid > 0 && Number.isInteger(event.tid) && event.tid > 0).toBe(
            true,
          );
          const keys = Object.keys(event).sort().join(' ');
          if (event.ph === 'M') {
            expect(keys).toBe('args name ph pid tid');
            expect(event.args).toEqual(
              event.name === 'process_sort_index' ? { sort_index: event.pid - 1 } : { name: expect.any(String) },
            );
            expect(['process_name', 'process_sort_index', 'thread_name']).toContain(event.name);
            continue;
          }
          const { ts = -1, dur = 0 } = event;
          expect(Number.isInteger(ts) && ts >= 0).toBe(true);
          if (event.ph === 'C') {
            // The emptiness behind the last window may begin after the run.
            expect(ts % LINK_WINDOW).toBe(0);
            expect(ts).toBeLessThan(cycles + LINK_WINDOW);
            expect(keys).toBe('args cat name ph pid tid ts');
            expect(Object.keys(event.args ?? {})).toEqual(['N', 'E', 'S', 'W']);
            for (const load of Object.values(event.args ?? {})) expect(load).toBeGreaterThanOrEqual(0);
            for (const load of Object.values(event.args ?? {})) expect(load).toBeLessThanOrEqual(1);
          } else {
            expect(event.ph).toBe('X');
            expect(['cat dur name ph pid tid ts', 'args cat dur name ph pid tid ts']).toContain(keys);
            expect(Number.isInteger(dur) && dur > 0 && ts + dur <= cycles).toBe(true);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it('names each process and track once, before its first event; tracks hold events that nest, in order of time', () => {
    fc.assert(
      fc.property(programs, ({ events }) => {
        const named = new Set<string>();
        const processOf = new Map<number, number>();
        const open = new Map<string, number[]>();
        let now = 0;
        for (const event of events) {
          const { ph, name, pid, tid, ts = 0, dur = 0 } = event;
          // A number is one track only, and a process's own number is its tasks.
          expect(processOf.get(tid) ?? pid).toBe(pid);
          processOf.set(tid, pid);
          if (name === 'thread_name') expect(event.args?.['name'] === 'tasks').toBe(tid === pid);
          if (ph === 'M') {
            const what = name === 'thread_name' ? `thread ${pid} ${tid}` : `${name} ${pid}`;
            expect(named.has(what)).toBe(false);
            named.add(what);
            continue;
          }
          expect(named.has(`process_name ${pid}`) && named.has(`process_sort_index ${pid}`)).toBe(true);
          expect(ts).toBeGreaterThanOrEqual(now);
          now = ts;
          if (ph === 'C') continue;
          expect(named.has(`thread ${pid} ${tid}`)).toBe(true);
          const ends = open.get(track(event)) ?? [];
          while (ends.length > 0 && ends[ends.length - 1] <= ts) ends.pop();
          if (ends.length > 0) expect(ts + dur).toBeLessThanOrEqual(ends[ends.length - 1]);
          open.set(track(event), [...ends, ts + dur]);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('calls things by their names in the program', () => {
    const [chain] = meshCollectives.reduce.filter(({ algorithm }) => algorithm === 'chain');
    const shape = { width: 3, height: 2, values: 4, type: 'fp32', group: 1 } as const;
    const { events } = trace(chain.lower(shape, wafer).program, {});
    const names = events.filter(({ name }) => name === 'process_name').map(({ args }) => args?.['name']);
    expect(names.toSorted()).toEqual([0, 1, 2, 3, 4, 5].map((pe) => peName(pe, 3)).toSorted());
    const done = new Set(events.filter(({ ph }) => ph === 'X').map(({ name, cat }) => `${cat}: ${name}`));
    expect([...done].toSorted()).toEqual(['task: task main', 'vector: add fp32', 'vector: mov fp32']);
  });

  it('tells a conversion from a move', () => {
    const names = new Set<string>();
    for (let seed = 0; seed < 60; seed++) {
      const { program, inputs } = localProgram(seed);
      for (const { ph, name } of trace(program, { inputs }).events) if (ph === 'X') names.add(name);
    }
    expect(names).toContain('mov fp32');
    expect(names).toContain('convert fp16 to i32');
    expect(names).not.toContain('convert fp32');
  });
});
