import { pesOf, type PeSet, type Port, type RouteRule, type Tile } from '../../machine/index.ts';
import type { LineShape } from '../collective.ts';
import { chain } from '../chain.ts';
import { spaced, type LoweredCollective } from '../line-program.ts';
import type { MeshShape, Place } from './mesh-collective.ts';
import type { Reduction } from './reduce.ts';
import { useOf } from './stages.ts';
import type { Stage } from '../../kernel/lower/sequence.ts';

const asLine = ({ width, height, values, type, group }: MeshShape): LineShape => ({
  parts: width * height,
  values,
  type,
  group,
});

/**
 * One chain through the whole mesh, row by row, every second row backwards: one stream of B words instead of two, for
 * W H - 1 stages instead of W + H - 2. Source: HPDC'24, snake.
 */
export const snake: Reduction = {
  algorithm: 'snake',
  about: 'one chain through all rows, every second one backwards',
  root: () => ({ x: 0, y: 0 }),
  phases: (shape) => chain.phases(asLine(shape)),
  stages: (shape, wafer) => [folded(chain.lower(asLine(shape), wafer), shape)],
};

/** The place of a line's PE when the line is laid through the mesh. */
const placeOf = (position: number, width: number): Place => {
  const y = Math.floor(position / width);
  return { x: y % 2 === 0 ? position % width : width - 1 - (position % width), y };
};

/** The port of one place that leads to a neighbouring one. */
const portTo = (from: Place, to: Place): Port =>
  to.x > from.x ? 'E' : to.x < from.x ? 'W' : to.y > from.y ? 'S' : 'N';

/** A row's program with the row laid through the mesh. */
function folded({ program, line }: LoweredCollective, mesh: MeshShape): Stage {
  const { width, height } = mesh;
  const last = width * height - 1;
  const turned = (position: number, port: Port): Port => {
    const here = placeOf(position, width);
    if (port === 'E') return portTo(here, placeOf(Math.min(position + 1, last), width));
    if (port === 'W') return portTo(here, placeOf(Math.max(position - 1, 0), width));
    return port;
  };
  const routes = program.routes.flatMap((rule) =>
    onPlaces(rule.on, width, last, (position) =>
      rule.positions.map(({ rx, tx }) => ({
        rx: rx.map((port) => turned(position, port)),
        tx: tx.map((port) => turned(position, port)),
      })),
    ).map(({ on, value }): RouteRule => ({ ...rule, on, positions: value })),
  );
  const tiles = program.tiles.flatMap(({ on, role }) =>
    onPlaces(on, width, last, () => role).map((tile): Tile => ({ on: tile.on, role: tile.value })),
  );
  return line === undefined ? { routes, tiles, roles: program.roles } : { routes, tiles, ...line, use: useOf(mesh) };
}

/** What the PEs of a set on the line get, as sets of the mesh with equal values. */
function onPlaces<T>(set: PeSet, width: number, last: number, valueAt: (position: number) => T) {
  const rows = new Map<string, { readonly value: T; readonly y: number; readonly xs: number[] }>();
  for (const position of pesOf(set, last + 1)) {
    const { x, y } = placeOf(position, width);
    const value = valueAt(position);
    const key = `${y} ${JSON.stringify(value)}`;
    const known = rows.get(key);
    if (known === undefined) rows.set(key, { value, y, xs: [x] });
    else known.xs.push(x);
  }
  return [...rows.values()].flatMap(({ value, y, xs }) =>
    spaced(xs.sort((a, b) => a - b)).map((on): { on: PeSet; value: T } => ({ on: { ...on, y }, value })),
  );
}
