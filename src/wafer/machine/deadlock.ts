// When nothing can move any more but not all is done: who waits for whom, and on which color.

import type { Diagnostic } from '../../core/index.ts';
import { isBusy, vectorOf } from './ce.ts';
import { operandFabricIn, operandFabricOut } from './code.ts';
import { neighbour, opposite, peName, ramp } from './layout.ts';
import { hasRoom, occupancy, type MachineState } from './state.ts';

/** Waits listed when they form no circle. */
const waitsShown = 8;

interface Wait {
  readonly pe: number;
  readonly color: number;
  readonly how: 'receive' | 'send';
  /** PE whose CE should send or take; -1 when the route could not be followed. */
  readonly on: number;
}

/** Presumes that nothing can move. Undefined when everything is finished and every wavelet was taken. */
export function findDeadlock(m: MachineState): Diagnostic | undefined {
  const { pes, width, fifos } = m.resolved;
  let wavelets = 0;
  for (let f = 0; f < fifos; f++) wavelets += occupancy(m, f);
  const stuck: number[] = [];
  for (let pe = 0; pe < pes; pe++) if (isBusy(m, pe) || m.pending[pe] !== 0) stuck.push(pe);
  if (wavelets === 0 && stuck.length === 0) return undefined;

  const waits = stuck.flatMap((pe) => waitsOf(m, pe));
  const circle = findCircle(waits);
  const shown = circle ?? waits.slice(0, waitsShown);
  const text = shown.map(
    ({ pe, color, how, on }) =>
      `${peName(pe, width)} waits to ${how} color ${color}${on < 0 ? '' : ` ${how === 'receive' ? 'from' : 'to'} ${peName(on, width)}`}`,
  );
  for (const pe of stuck)
    if (text.length < waitsShown && !waits.some((wait) => wait.pe === pe))
      text.push(`${peName(pe, width)} has a task that stays blocked`);
  for (let f = 0; f < fifos && text.length < waitsShown && stuck.length === 0; f++)
    if (occupancy(m, f) > 0)
      text.push(
        `${occupancy(m, f)} wavelets of ${colorAt(m, f)} lie untaken at ${peName(m.resolved.fifoPe[f], width)}`,
      );
  return {
    code: 'DEADLOCK',
    message: `nothing can move: ${stuck.length} PEs wait and ${wavelets} wavelets are in the fabric`,
    where: text.join('; '),
    ...(circle === undefined ? {} : { found: `a circle of ${circle.length} PEs` }),
    suggestion: 'check that sends and receives of each color agree in number and in order',
  };
}

function colorAt(m: MachineState, fifo: number): string {
  const { channels, channelRoute, routeColor, fifoPe, roles, roleOf, queueFirst } = m.resolved;
  if (fifo < channels) return `color ${routeColor[channelRoute[fifo]]}`;
  const pe = fifoPe[fifo];
  return `color ${roles[roleOf[pe]].inputColors[fifo - queueFirst[pe]]}`;
}

function waitsOf(m: MachineState, pe: number): Wait[] {
  const { roles, roleOf, queueFirst, outputFirst, outputChannel } = m.resolved;
  const role = roles[roleOf[pe]];
  const waits: Wait[] = [];
  for (let thread = 0; thread < m.threads; thread++) {
    const v = vectorOf(m, pe, thread);
    if (v === undefined) continue;
    for (const o of [v.a, v.b, v.c])
      if (o.kind === operandFabricIn && occupancy(m, queueFirst[pe] + o.queue) === 0) {
        const color = role.inputColors[o.queue];
        waits.push({ pe, color, how: 'receive', on: sourceOf(m, pe, color) });
      }
    if (v.dst.kind === operandFabricOut && !hasRoom(m, outputChannel[outputFirst[pe] + v.dst.queue])) {
      const color = role.outputColors[v.dst.queue];
      waits.push({ pe, color, how: 'send', on: takerOf(m, outputChannel[outputFirst[pe] + v.dst.queue]) });
    }
  }
  return waits;
}

/** The PE that injects a color into the route that ends here, walking inputs backwards. */
function sourceOf(m: MachineState, pe: number, color: number): number {
  const { routeFirst, routeColor, routeRule, channelRoute, down, rules, width, height, pes } = m.resolved;
  const find = (place: number, is: (route: number) => boolean): number => {
    for (let r = routeFirst[place]; r < routeFirst[place + 1]; r++) if (is(r)) return r;
    return -1;
  };
  let at = pe;
  let route = find(pe, (r) => routeColor[r] === color);
  for (let steps = 0; steps <= pes && route >= 0; steps++) {
    const rule = rules[routeRule[route]];
    const rx = rule.rx[Math.min(m.position[route], rule.rx.length - 1)];
    if ((rx >>> ramp) & 1 && at !== pe) return at;
    const port = [0, 1, 2, 3].find((p) => (rx >>> p) & 1);
    if (port === undefined) return at;
    at = neighbour(at, port, width, height);
    if (at < 0) return -1;
    // By where it leads to, as it may arrive in another color than it has there.
    const here = route;
    route = find(at, (r) => channelRoute[down[r * 5 + opposite(port)]] === here);
  }
  return -1;
}

/** The PE at which a full channel's head is held up. */
function takerOf(m: MachineState, channel: number): number {
  const { channels, channelRoute, down, fifoPe, rules, routeRule } = m.resolved;
  let fifo = channel;
  for (let steps = 0; steps <= channels && fifo < channels; steps++) {
    const route = channelRoute[fifo];
    const rule = rules[routeRule[route]];
    const tx = rule.tx[Math.min(m.position[route], rule.tx.length - 1)];
    const next = [0, 1, 2, 3, 4].find((port) => (tx >>> port) & 1 && !hasRoom(m, down[route * 5 + port]));
    if (next === undefined) break;
    fifo = down[route * 5 + next];
  }
  return fifoPe[fifo];
}

/** PEs that wait for one another in a ring, if any. */
function findCircle(waits: readonly Wait[]): readonly Wait[] | undefined {
  const from = new Map<number, Wait[]>();
  for (const wait of waits) from.set(wait.pe, [...(from.get(wait.pe) ?? []), wait]);
  const over = new Set<number>();
  for (const start of from.keys()) {
    const path: Wait[] = [];
    const onPath = new Map<number, number>();
    let at = start;
    // Following each PE's first wait is enough to find a ring that it leads into.
    while (!over.has(at)) {
      const seen = onPath.get(at);
      if (seen !== undefined) return path.slice(seen);
      const wait = from.get(at)?.[0];
      if (wait === undefined) break;
      onPath.set(at, path.length);
      path.push(wait);
      at = wait.on;
    }
    for (const pe of onPath.keys()) over.add(pe);
  }
  return undefined;
}
