// Defects for laws of the fabric, and the ways of a color around them.
import type { Rng } from '../../../core/index.ts';
import { createDefectMap, type DefectMap, type PhysLink } from '../../../wafer/index.ts';
import { neighbour, portNames, type Port, type RouteRule } from '../../../wafer/machine/index.ts';

/** About one PE in eight and one link in eight is dead. */
export function drawFew(width: number, height: number, rng: Rng): DefectMap {
  const rare = (): boolean => rng.u32() % 8 === 0;
  const places = Array.from({ length: width * height }, (_, pe) => ({ x: pe % width, y: Math.floor(pe / width) }));
  const links: PhysLink[] = places.flatMap(({ x, y }) => [
    ...(x + 1 < width && rare() ? [{ x, y, side: 'east' } as const] : []),
    ...(y + 1 < height && rare() ? [{ x, y, side: 'south' } as const] : []),
  ]);
  return createDefectMap({ width, height }, places.filter(rare), links);
}

/** A key for each dead PE and link. */
const keysOf = ({ deadPes, deadLinks }: DefectMap): Set<string> =>
  new Set([...deadPes.map(({ x, y }) => `${x} ${y}`), ...deadLinks.map(({ x, y, side }) => `${x} ${y} ${side}`)]);

/** The key of the link across a port. */
const linkKey = (pe: number, port: number, width: number): string => {
  const x = pe % width;
  const y = Math.floor(pe / width);
  return port === 0
    ? `${x} ${y - 1} south`
    : port === 1
      ? `${x} ${y} east`
      : port === 2
        ? `${x} ${y} south`
        : `${x - 1} ${y} east`;
};

export const isDead = (map: DefectMap, pe: number): boolean => map.deadPes.some(({ x, y }) => y * map.width + x === pe);

/** Each working PE that a working way leads to, with the port of its way back to the source: shortest ways, some of several. */
export function waysBack(map: DefectMap, source: number, rng: Rng): Map<number, number> {
  const { width, height } = map;
  const dead = keysOf(map);
  const back = new Map([[source, -1]]);
  for (const pe of back.keys()) {
    const turn = rng.u32() % 4;
    for (let n = 0; n < 4; n++) {
      const port = (n + turn) % 4;
      const next = neighbour(pe, port, width, height);
      if (next < 0 || back.has(next) || isDead(map, next) || dead.has(linkKey(pe, port, width))) continue;
      back.set(next, (port + 2) & 3);
    }
  }
  return back;
}

/** Routes of a tree from the source to the targets along ways back. */
export function treeAlong(
  { width, height }: DefectMap,
  back: ReadonlyMap<number, number>,
  targets: readonly number[],
  color: number,
): RouteRule[] {
  const tx = new Map<number, Set<Port>>();
  for (const target of targets) {
    let out: Port = 'R';
    for (let at = target; ; ) {
      const known = tx.get(at);
      tx.set(at, (known ?? new Set()).add(out));
      const port = back.get(at) as number;
      if (known !== undefined || port < 0) break;
      out = portNames[(port + 2) & 3];
      at = neighbour(at, port, width, height);
    }
  }
  return [...tx].map(([pe, out]) => ({
    on: { x: pe % width, y: Math.floor(pe / width), width: 1, height: 1 },
    color,
    positions: [{ rx: [(back.get(pe) as number) < 0 ? 'R' : portNames[back.get(pe) as number]], tx: [...out] }],
  }));
}

/** The dead PEs and links that routes of a program lie on. */
export function touched(map: DefectMap, routes: readonly RouteRule[]): string[] {
  const dead = keysOf(map);
  return routes.flatMap(({ on, positions }) => [
    ...(dead.has(`${on.x} ${on.y}`) ? [`${on.x} ${on.y}`] : []),
    ...positions
      .flatMap(({ tx }) => tx)
      .filter((port) => port !== 'R')
      .map((port) => linkKey(on.y * map.width + on.x, portNames.indexOf(port), map.width))
      .filter((key) => dead.has(key)),
  ]);
}
