import type { Stage } from '../../kernel/lower/sequence.ts';
import type { Port, RouteRule, Tile } from '../../machine/index.ts';
import { phase, waveletsOf, type Phase } from '../../phase.ts';
import { rootOf } from '../../reduction.ts';
import type { MeshCollective, MeshShape, Place } from './mesh-collective.ts';
import { everyPlace, inTurn, useOf } from './stages.ts';

const middle = ({ width, height }: MeshShape): Place => ({ x: rootOf(width), y: rootOf(height) });

/**
 * From the middle PE along its row, and from every PE of that row along its column, in one color: routers copy a
 * wavelet to the ramp and onwards in one cycle. Source: HPDC'24, 2-D broadcast, B + M + N - 2 + 2 T_R + 1 from a corner
 * of M x N PEs; here from the middle, and with the start-up of the instruction that sends.
 */
export const meshBroadcast: MeshCollective = {
  does: 'broadcast',
  algorithm: 'multicast',
  about: 'from the middle PE along its row, and from there along all columns, by multicast routes',
  accepts: () => true,
  phases: (shape) => meshBroadcastPhases(shape, middle(shape)),
  lower: (shape, wafer) => ({
    program: inTurn(shape, [meshBroadcastStage(shape, middle(shape))], wafer),
    results: everyPlace(shape),
    outcome: 'x',
  }),
};

/** The broadcast from any PE. */
export function meshBroadcastPhases(shape: MeshShape, root: Place): readonly Phase[] {
  const { width, height, values, type } = shape;
  if (width * height === 1) return [];
  return [
    phase('broadcast', {
      hops: Math.max(root.x, width - 1 - root.x) + Math.max(root.y, height - 1 - root.y),
      ramps: 2,
      steps: 1,
      wavelets: waveletsOf(values, type),
      vectors: [{ count: 1, length: 0, type }],
    }),
  ];
}

export function meshBroadcastStage(shape: MeshShape, root: Place): Stage {
  const { width, height } = shape;
  const color = 0;
  const posted = { trigger: 'posted', use: useOf(shape) } as const;
  if (width * height === 1) return { routes: [], tiles: [], steps: {}, ...posted };
  const [right, bottom] = [width - 1, height - 1];
  const routes: RouteRule[] = [];
  const route = (x: number, y: number, w: number, h: number, rx: Port, ...tx: (Port | false)[]): void => {
    if (w > 0 && h > 0)
      routes.push({
        on: { x, y, width: w, height: h },
        color,
        positions: [{ rx: [rx], tx: tx.filter((port) => port !== false) }],
      });
  };
  const [above, below] = [root.y > 0 && 'N', root.y < bottom && 'S'] as const;
  // The root's row: from the root to both ends, and off into the columns.
  route(root.x, root.y, 1, 1, 'R', root.x > 0 && 'W', root.x < right && 'E', above, below);
  route(root.x + 1, root.y, right - root.x - 1, 1, 'W', 'R', 'E', above, below);
  if (root.x < right) route(right, root.y, 1, 1, 'W', 'R', above, below);
  route(1, root.y, root.x - 1, 1, 'E', 'R', 'W', above, below);
  if (root.x > 0) route(0, root.y, 1, 1, 'E', 'R', above, below);
  // The columns, away from that row.
  route(0, 1, width, root.y - 1, 'S', 'R', 'N');
  if (root.y > 0) route(0, 0, width, 1, 'S', 'R');
  route(0, root.y + 1, width, bottom - root.y - 1, 'N', 'R', 'S');
  if (root.y < bottom) route(0, bottom, width, 1, 'N', 'R');

  const tile = (x: number, y: number, w: number, h: number): Tile[] =>
    w > 0 && h > 0 ? [{ on: { x, y, width: w, height: h }, role: 'takes' }] : [];
  return {
    routes,
    steps: { sends: [{ do: 'send', color }], takes: [{ do: 'take', color }] },
    ...posted,
    tiles: [
      { on: { ...root, width: 1, height: 1 }, role: 'sends' },
      ...tile(0, 0, width, root.y),
      ...tile(0, root.y, root.x, 1),
      ...tile(root.x + 1, root.y, right - root.x, 1),
      ...tile(0, root.y + 1, width, bottom - root.y),
    ],
  };
}
