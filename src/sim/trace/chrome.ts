// A recording in the Trace Event Format (Google's document of that name), which Perfetto and chrome://tracing open.

import { peName } from '../../wafer/machine/index.ts';
import { LINK_WINDOW, type LinkSample, type Recorder, type TraceEvent } from './recorder.ts';

export interface TraceTitle {
  readonly title: string;
  /** PEs in a row of the mesh. */
  readonly width: number;
}

const mainTrack = 'tasks';

/** More than the PEs of any wafer, so that no two tracks share a number. */
const TRACK_STRIDE = 2 ** 20;

/** Viewers take the track whose number is its process's for the main one, and show it first. */
const trackOf = (pe: number, thread: number): number => pe + 1 + thread * TRACK_STRIDE;

/**
 * One process per PE; its track `tasks` holds tasks with the vector instructions that they wait for, and every
 * microthread has a track of its own. The format knows microseconds only: one stands for one cycle. Events are
 * complete ones (`X`), in order of start.
 * @returns the JSON text in pieces
 */
export function* chromeTrace(recorder: Recorder, { title, width }: TraceTitle): Generator<string> {
  const about = {
    title,
    time: '1 us in this trace is 1 cycle of the wafer; simulated, not measured',
    links: `wavelets per cycle on each outgoing link, mean of ${LINK_WINDOW} cycles`,
    ...(recorder.cutAt === undefined ? {} : { cut: `the limit of events was reached in cycle ${recorder.cutAt}` }),
  };
  yield `{"displayTimeUnit":"ns","otherData":${JSON.stringify(about)},"traceEvents":[`;
  let separator = '\n';
  const line = (event: object): string => {
    const text = separator + JSON.stringify(event);
    separator = ',\n';
    return text;
  };
  const known = new Set<string>();
  /** A name for each process and track when it first appears. */
  function* introduce(pe: number, thread: number): Generator<string> {
    if (!known.has(`${pe}`)) {
      known.add(`${pe}`);
      yield line({
        ph: 'M',
        name: 'process_name',
        pid: pe + 1,
        tid: trackOf(pe, 0),
        args: { name: peName(pe, width) },
      });
      yield line({ ph: 'M', name: 'process_sort_index', pid: pe + 1, tid: trackOf(pe, 0), args: { sort_index: pe } });
    }
    if (thread < 0 || known.has(`${pe} ${thread}`)) return;
    known.add(`${pe} ${thread}`);
    const name = thread === 0 ? mainTrack : `microthread ${thread - 1}`;
    yield line({ ph: 'M', name: 'thread_name', pid: pe + 1, tid: trackOf(pe, thread), args: { name } });
  }

  const samples = recorder.samples()[Symbol.iterator]();
  let sample = samples.next();
  for (const event of recorder.events()) {
    while (sample.done !== true && sample.value.start <= event.start) {
      yield* introduce(sample.value.pe, -1);
      yield line(counter(sample.value));
      sample = samples.next();
    }
    yield* introduce(event.pe, event.thread);
    yield line(complete(event));
  }
  for (; sample.done !== true; sample = samples.next()) {
    yield* introduce(sample.value.pe, -1);
    yield line(counter(sample.value));
  }
  yield '\n]}\n';
}

const complete = ({ pe, thread, start, cycles, what, elements }: TraceEvent): object => ({
  ph: 'X',
  name: what.name,
  cat: what.category,
  pid: pe + 1,
  tid: trackOf(pe, thread),
  ts: start,
  dur: cycles,
  ...(what.operands === undefined ? {} : { args: { operands: what.operands, elements } }),
});

const counter = ({ pe, start, loads: [N, E, S, W] }: LinkSample): object => ({
  ph: 'C',
  name: 'links',
  cat: 'link',
  pid: pe + 1,
  tid: trackOf(pe, 0),
  ts: start,
  args: { N, E, S, W },
});
