// Random programs for laws: several streams over a random mesh, each a multicast tree from one PE to some others;
// every PE adds its own numbers to what it takes (traffic-role.ts). Streams may change color at every link, be switched
// by control wavelets behind each of their parts, and be filtered where they end. As microthreads and tasks,
// transfers compete for links, ramps and execution slots, but never wait for one another. In the main thread they wait,
// which may end in a deadlock. PEs begin at different times, so that some wavelets wait in the fabric.
import fc from 'fast-check';
import { createRng, type Rng } from '../../../core/index.ts';
import { encodeControl, maxSwitchCommands, neighbour, portNames } from '../../../wafer/machine/index.ts';
import type { Dtype, Filter, MachineProgram, MemoryImage, Port, RouteRule } from '../../../wafer/machine/index.ts';
import type { DefectMap } from '../../../wafer/index.ts';
import { drawFew, isDead, treeAlong, waysBack } from './detour.ts';
import { machine } from './programs.ts';
import { trafficRole, type Send, type Take } from './traffic-role.ts';

export interface Traffic {
  readonly program: MachineProgram;
  readonly inputs: readonly MemoryImage[];
  readonly defects: DefectMap | undefined;
  /** What each destination's object holds at the end. */
  readonly expected: readonly { x: number; y: number; object: string; values: number[] }[];
  /** Some stream's switch turns, some wavelets are filtered, some start tasks. */
  readonly switched: boolean;
  readonly filtered: boolean;
  readonly tasks: boolean;
}

interface Shape {
  readonly width: number;
  readonly height: number;
  readonly colors: number;
  /** Elements of each part of a stream. */
  readonly length: number;
  readonly dtype: Dtype;
  /** Cycles by which a PE may begin late. */
  readonly delay: number;
  /** Share of the PEs that take a color. */
  readonly share: number;
  /** Some PEs and links are dead, and routes lead around them. */
  readonly defects: boolean;
  /** Along these axes every color changes at each link to the other of its pair. */
  readonly swap: RouteRule['swap'];
  /** Streams may be switched, filtered, and taken by tasks and FIFOs. */
  readonly varied: boolean;
  readonly seed: number;
}

const shapes: fc.Arbitrary<Shape> = fc.record<Shape>({
  width: fc.integer({ min: 1, max: 5 }),
  height: fc.integer({ min: 1, max: 5 }),
  colors: fc.integer({ min: 1, max: 4 }),
  length: fc.integer({ min: 1, max: 24 }),
  dtype: fc.constantFrom<Dtype>('fp32', 'fp16', 'i32', 'i16'),
  delay: fc.constantFrom(0, 0, 40, 400),
  share: fc.constantFrom(0, 0.1, 0.4),
  defects: fc.boolean(),
  swap: fc.constantFrom<RouteRule['swap']>(undefined, undefined, 'x', 'y', 'xy'),
  varied: fc.boolean(),
  seed: fc.integer(),
});

/** On meshes with defects only. */
export const detouredTraffic: fc.Arbitrary<Traffic> = shapes.map((shape) => build({ ...shape, defects: true }, true));

/** Always runs to its end. */
export const traffic: fc.Arbitrary<Traffic> = shapes.map((shape) => build(shape, true));

/** The same, every program with all that streams may be. */
export const variedTraffic: fc.Arbitrary<Traffic> = shapes.map((shape) => build({ ...shape, varied: true }, true));

/** One transfer after another on each PE: may deadlock. */
export const orderedTraffic: fc.Arbitrary<Traffic> = shapes.map((shape) => build(shape, false));

function build(shape: Shape, beside: boolean): Traffic {
  const { width, height, colors, dtype, delay, share, swap, varied, seed } = shape;
  // Two elements to a wavelet: parts of a stream that end in half of one would not join.
  const isPacked = dtype === 'fp16' || dtype === 'i16';
  const length = varied && isPacked ? 2 * Math.ceil(shape.length / 2) : shape.length;
  const rng = createRng(seed);
  const pes = width * height;
  const map = shape.defects ? drawFew(width, height, rng) : undefined;
  const routes: RouteRule[] = [];
  const sends: Send[][] = Array.from({ length: pes }, () => []);
  const takes: Take[][] = Array.from({ length: pes }, () => []);
  const inputs: MemoryImage[] = [];
  const expected: Traffic['expected'][number][] = [];
  for (let stream = 0; stream < colors; stream++) {
    const source = rng.u32() % pes;
    const first = swap === undefined ? stream : 2 * stream;
    /** What the stream is called at a PE: by the number of links along swapping axes to its source. */
    const colorAt = ({ x, y }: { readonly x: number; readonly y: number }): number => {
      const at = place(source, width);
      const links = (swap?.includes('x') ? Math.abs(x - at.x) : 0) + (swap?.includes('y') ? Math.abs(y - at.y) : 0);
      return first ^ (links % 2);
    };
    if (map !== undefined && isDead(map, source)) continue;
    const back = map === undefined ? undefined : waysBack(map, source, rng);
    const others = Array.from({ length: pes }, (_, pe) => pe).filter(
      (pe) => pe !== source && (back === undefined || back.has(pe)),
    );
    const several = others.filter(() => rng.uniform() < share);
    const targets = several.length > 0 ? several : others.slice(0, 1 + (rng.u32() % pes)).slice(-1);
    if (targets.length === 0) continue;
    const fixed =
      map === undefined || back === undefined
        ? tree(source, targets, first, width, rng)
        : treeAlong(map, back, targets, first);
    // Two streams at most, since each part of one takes a task of its own.
    const deal = varied && stream < 2 && rng.u32() % 2 === 0 ? dealOf(fixed, width, height, rng) : undefined;
    const rules = deal?.rules ?? fixed;
    const parts = deal?.parts ?? 1;
    const task = deal !== undefined && beside && rng.u32() % 2 === 0 ? 40 + stream : undefined;
    const control =
      deal === undefined ? {} : { control: encodeControl({ commands: deal.commands, ...(task && { task }) }) };
    const values = Array.from({ length: parts }, () => numbers(rng, length));
    sends[source].push({ stream, color: first, parts, ...control });
    inputs.push({ ...place(source, width), object: `x${stream}`, values: values.flat() });
    for (const pe of targets) {
      const heard = values.filter((_, part) => deal === undefined || deal.reaches(pe, part));
      const { filter, passed } = varied && rng.u32() % 3 === 0 ? filterOf(heard.flat(), dtype, rng) : unfiltered(heard);
      const own = numbers(rng, passed.length);
      const how = varied && beside ? (['vector', 'fifo', 'task'] as const)[rng.u32() % 3] : 'vector';
      takes[pe].push({
        stream,
        color: colorAt(place(pe, width)),
        length: passed.length,
        // A task gets one element of a wavelet in a register; of two packed ones it would need both.
        how: how === 'task' && isPacked ? 'vector' : how,
        ...(task && { task }),
      });
      inputs.push({ ...place(pe, width), object: `y${stream}`, values: own });
      expected.push({ ...place(pe, width), object: `y${stream}`, values: passed.map((v, i) => v + own[i]) });
      if (task !== undefined) expected.push({ ...place(pe, width), object: `n${stream}`, values: [heard.length] });
      if (filter !== undefined) {
        const at = rules.findIndex(({ on }) => on.y * width + on.x === pe);
        rules[at] = { ...rules[at], filter };
      }
    }
    routes.push(...rules.map((rule) => (swap === undefined ? rule : { ...rule, color: colorAt(rule.on), swap })));
  }
  const placed = Array.from({ length: pes }, (_, pe) => pe)
    .filter((pe) => sends[pe].length + takes[pe].length > 0)
    .map((pe) => {
      const late = delay === 0 ? 0 : rng.u32() % delay;
      return [
        pe % width,
        Math.floor(pe / width),
        trafficRole(sends[pe], takes[pe], { length, dtype, delay: late, beside }),
      ] as const;
    });
  return {
    program: machine(width, height, routes, placed),
    inputs,
    expected,
    defects: map,
    switched: routes.some(({ positions }) => positions.length > 1),
    filtered: routes.some(({ filter }) => filter !== undefined),
    tasks: takes.flat().some(({ how, task }) => how === 'task' || task !== undefined),
  };
}

const place = (pe: number, width: number): { x: number; y: number } => ({ x: pe % width, y: Math.floor(pe / width) });

/** Small integers: exact in every type, so that sums do not depend on rounding. */
const numbers = (rng: Rng, length: number): number[] => Array.from({ length }, () => (rng.u32() % 200) - 100);

const unfiltered = (parts: readonly number[][]): { filter: undefined; passed: number[] } => ({
  filter: undefined,
  passed: parts.flat(),
});

/** A filter of 32-bit elements, each a wavelet, that some pass. */
function filterOf(heard: readonly number[], dtype: Dtype, rng: Rng): { filter: Filter | undefined; passed: number[] } {
  const max = rng.u32() % 5;
  const counter = { kind: 'counter', init: rng.u32() % (max + 1), limit: rng.u32() % (max + 1), max } as const;
  const counted = heard.filter((_, i) => (counter.init + i) % (max + 1) <= counter.limit);
  // The upper half of an i32 is 0 or, below zero, all ones.
  const range = { kind: 'range', min: 0, max: rng.u32() % 0xffff } as const;
  const positive = heard.filter((value) => value >= 0);
  if (dtype === 'i32' && positive.length > 0 && rng.u32() % 2 === 0) return { filter: range, passed: positive };
  if ((dtype === 'i32' || dtype === 'fp32') && counted.length > 0) return { filter: counter, passed: counted };
  return unfiltered([[...heard]]);
}

interface Deal {
  readonly rules: RouteRule[];
  /** Behind each part of the stream comes a control wavelet with these commands. */
  readonly parts: number;
  readonly commands: readonly ('none' | 'advance')[];
  reaches(pe: number, part: number): boolean;
}

/** Give one router of a tree switch positions: to all its outputs first, then to some of them. */
function dealOf(rules: readonly RouteRule[], width: number, height: number, rng: Rng): Deal | undefined {
  const at = new Map(rules.map((rule) => [rule.on.y * width + rule.on.x, rule]));
  /** From a PE back to the source: the PEs on the way, and the port by which the wavelets leave each. */
  const wayTo = (pe: number): { pe: number; out: Port }[] => {
    const way: { pe: number; out: Port }[] = [{ pe, out: 'R' }];
    for (;;) {
      const from = (at.get(way[0].pe) as RouteRule).positions[0].rx[0];
      if (from === 'R') return way;
      const port = portNames.indexOf(from);
      way.unshift({ pe: neighbour(way[0].pe, port, width, height), out: portNames[(port + 2) & 3] });
    }
  };
  const turning = rules[rng.u32() % rules.length];
  const turningPe = turning.on.y * width + turning.on.x;
  const depth = wayTo(turningPe).length - 1;
  if (depth >= maxSwitchCommands) return undefined;
  const { rx, tx } = turning.positions[0];
  const some = (): Port[] => {
    const kept = tx.filter(() => rng.u32() % 2 === 0);
    return kept.length > 0 ? kept : [tx[rng.u32() % tx.length]];
  };
  const positions = [{ rx, tx }, ...Array.from({ length: 1 + (rng.u32() % 3) }, () => ({ rx, tx: some() }))];
  const ring = rng.u32() % 2 === 0;
  return {
    rules: rules.map((rule) => ({ ...rule, pop: 'always', ...(rule === turning && { positions, ring }) })),
    parts: 1 + (rng.u32() % 3),
    commands: [...Array.from({ length: depth }, () => 'none' as const), 'advance'],
    reaches(pe, part) {
      const passes = wayTo(pe).find((each) => each.pe === turningPe);
      const position = ring ? part % positions.length : Math.min(part, positions.length - 1);
      return passes === undefined || positions[position].tx.includes(passes.out);
    },
  };
}

/** Routes of a tree: each target walks towards the source, along x or y first, until it meets the tree. */
function tree(source: number, targets: readonly number[], color: number, width: number, rng: Rng): RouteRule[] {
  const tx = new Map<number, Set<Port>>([[source, new Set()]]);
  const rx = new Map<number, Port>([[source, 'R']]);
  for (const target of targets) {
    const xFirst = rng.uniform() < 0.5;
    let at = target;
    let before: Port = 'R';
    for (;;) {
      const met = tx.has(at);
      const out = tx.get(at) ?? new Set<Port>();
      tx.set(at, out.add(before));
      if (met) break;
      const dx = (source % width) - (at % width);
      const dy = Math.floor(source / width) - Math.floor(at / width);
      if (dx !== 0 && (xFirst || dy === 0)) {
        rx.set(at, dx > 0 ? 'E' : 'W');
        before = dx > 0 ? 'W' : 'E';
        at += Math.sign(dx);
      } else {
        rx.set(at, dy > 0 ? 'S' : 'N');
        before = dy > 0 ? 'N' : 'S';
        at += Math.sign(dy) * width;
      }
    }
  }
  return [...tx].map(([pe, out]) => ({
    on: { ...place(pe, width), width: 1, height: 1 },
    color,
    positions: [{ rx: [rx.get(pe) as Port], tx: [...out] }],
  }));
}
