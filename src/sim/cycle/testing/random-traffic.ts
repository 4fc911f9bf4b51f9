// Random programs for laws: several streams, each in a color or a pair of swapped ones, over a random mesh, each a multicast tree from one PE to some
// others; every PE adds its own numbers to what it takes. As microthreads, transfers compete for links, ramps and
// execution slots, but never wait for one another. In the main thread they wait, which may end in a deadlock. PEs
// begin at different times, so that some wavelets wait in the fabric for those who take them.
import fc from 'fast-check';
import { createRng } from '../../../core/index.ts';
import type { Rng } from '../../../core/index.ts';
import { allocate } from '../../../wafer/machine/index.ts';
import type {
  Dtype,
  Instruction,
  MachineProgram,
  MemoryImage,
  Port,
  Role,
  RouteRule,
} from '../../../wafer/machine/index.ts';
import type { DefectMap } from '../../../wafer/index.ts';
import { drawFew, isDead, treeAlong, waysBack } from './detour.ts';
import { machine, main, role, wse2 } from './programs.ts';

export interface Traffic {
  readonly program: MachineProgram;
  readonly inputs: readonly MemoryImage[];
  readonly defects: DefectMap | undefined;
  /** What each destination's object holds at the end. */
  readonly expected: readonly { x: number; y: number; object: string; values: number[] }[];
}

interface Shape {
  readonly width: number;
  readonly height: number;
  readonly colors: number;
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
  seed: fc.integer(),
});

/** On meshes with defects only. */
export const detouredTraffic: fc.Arbitrary<Traffic> = shapes.map((shape) => build({ ...shape, defects: true }, true));

/** Always runs to its end. */
export const traffic: fc.Arbitrary<Traffic> = shapes.map((shape) => build(shape, true));

/** One transfer after another on each PE: may deadlock. */
export const orderedTraffic: fc.Arbitrary<Traffic> = shapes.map((shape) => build(shape, false));

function build(shape: Shape, beside: boolean): Traffic {
  const { width, height, colors, length, dtype, delay, share, swap, seed } = shape;
  const rng = createRng(seed);
  const pes = width * height;
  const map = shape.defects ? drawFew(width, height, rng) : undefined;
  const routes: RouteRule[] = [];
  const sends: Transfer[][] = Array.from({ length: pes }, () => []);
  const takes: Transfer[][] = Array.from({ length: pes }, () => []);
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
    sends[source].push({ stream, color: first });
    const values = numbers(rng, length);
    inputs.push({ ...place(source, width), object: `x${stream}`, values });
    for (const pe of targets) {
      takes[pe].push({ stream, color: colorAt(place(pe, width)) });
      const own = numbers(rng, length);
      inputs.push({ ...place(pe, width), object: `y${stream}`, values: own });
      expected.push({ ...place(pe, width), object: `y${stream}`, values: values.map((v, i) => v + own[i]) });
    }
    const rules =
      map === undefined || back === undefined
        ? tree(source, targets, first, width, rng)
        : treeAlong(map, back, targets, first);
    routes.push(...rules.map((rule) => (swap === undefined ? rule : { ...rule, color: colorAt(rule.on), swap })));
  }
  const placed = Array.from({ length: pes }, (_, pe) => pe)
    .filter((pe) => sends[pe].length + takes[pe].length > 0)
    .map(
      (pe) =>
        [
          pe % width,
          Math.floor(pe / width),
          body(sends[pe], takes[pe], { length, dtype, delay: delay === 0 ? 0 : rng.u32() % delay, beside }),
        ] as const,
    );
  return { program: machine(width, height, routes, placed), inputs, expected, defects: map };
}

const place = (pe: number, width: number): { x: number; y: number } => ({ x: pe % width, y: Math.floor(pe / width) });

/** Small integers: exact in every type, so that sums do not depend on rounding. */
const numbers = (rng: Rng, length: number): number[] => Array.from({ length }, () => (rng.u32() % 200) - 100);

interface Transfer {
  readonly stream: number;
  readonly color: number;
}

interface Habit {
  readonly length: number;
  readonly dtype: Dtype;
  readonly delay: number;
  readonly beside: boolean;
}

function body(sends: Transfer[], takes: Transfer[], { length, dtype, delay, beside }: Habit): Role {
  const names = [...sends.map(({ stream }) => `x${stream}`), ...takes.map(({ stream }) => `y${stream}`)];
  return role({
    memory: allocate(
      [
        ...names.map((name) => ({ name, dtype, length })),
        // When each transfer of a main thread was over.
        ...(beside ? [] : [{ name: 'stamps', dtype: 'i32', length: names.length } as const]),
        ...(delay > 0 ? [{ name: 'idle', dtype: 'i32', length: delay } as const] : []),
      ],
      wse2,
    ),
    outputs: sends.map(({ color }, queue) => ({ queue, color })),
    inputs: takes.map(({ color }, queue) => ({ queue, color })),
    dsds: Object.fromEntries([
      ...names.map((name) => [name, { kind: 'memory', object: name, extents: [length] }] as const),
      ...sends.map(({ stream, color }) => [`out${stream}`, { kind: 'fabricOut', color, length }] as const),
      ...takes.map(({ stream, color }) => [`in${stream}`, { kind: 'fabricIn', color, length }] as const),
      ...(delay > 0 ? [['idle', { kind: 'memory', object: 'idle', extents: [delay] }] as const] : []),
    ]),
    ...main(
      ...(delay > 0 ? [{ kind: 'vector', op: 'mov', dtype: 'i32', dst: 'idle', src: [1] } as const] : []),
      ...[
        ...sends.map(
          ({ stream: s }) => ({ kind: 'vector', op: 'mov', dtype, dst: `out${s}`, src: [`x${s}`] }) as const,
        ),
        ...takes.map(
          ({ stream: s }) => ({ kind: 'vector', op: 'add', dtype, dst: `y${s}`, src: [`in${s}`, `y${s}`] }) as const,
        ),
      ].flatMap((transfer, i): Instruction[] =>
        beside
          ? [{ ...transfer, async: { thread: i } }]
          : [transfer, { kind: 'timestamp', object: 'stamps', index: i }],
      ),
    ),
  });
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
