// A verified program as integers and typed arrays: routes, one FIFO per (router input, color), CE queues.

import { IngotError } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { resolveRole, type RoleCode } from './code.ts';
import { opposite, portMask, ramp, swapMask } from './layout.ts';
import { swapped, type MachineProgram, type RouteRule } from './pe-program.ts';
import { layOutVerified } from './verify.ts';

export const popNever = 0;
export const popOnAdvance = 1;
export const popAlways = 2;

export interface ResolvedRule {
  /** Port masks by switch position. */
  readonly rx: readonly number[];
  readonly tx: readonly number[];
  readonly ring: boolean;
  readonly pop: number;
  readonly filter: RouteRule['filter'];
}

/**
 * "Route" is one color at one PE; its inputs are "channels", each a FIFO. FIFOs are numbered: channels
 * first (all of a PE together, in order of color, then port), then the input queues of the CEs.
 */
export interface ResolvedProgram {
  readonly program: MachineProgram;
  readonly width: number;
  readonly height: number;
  readonly pes: number;
  readonly rules: readonly ResolvedRule[];
  /** Routes of PE i: [routeFirst[i], routeFirst[i + 1]). */
  readonly routeFirst: Int32Array;
  readonly routeColor: Uint8Array;
  readonly routeRule: Int32Array;
  /** First channel of each route; its channels follow in order of port. */
  readonly routeChannel: Int32Array;
  /** FIFO that each output port of a route writes, at route * 5 + port, or -1. */
  readonly down: Int32Array;
  readonly channelFirst: Int32Array;
  readonly channelRoute: Int32Array;
  readonly channelPort: Uint8Array;
  readonly channels: number;
  readonly fifos: number;
  /** PE that takes from each FIFO. */
  readonly fifoPe: Int32Array;
  readonly roles: readonly RoleCode[];
  /** Index into `roles`, or -1. */
  readonly roleOf: Int16Array;
  /** First of a PE's CE input queues; local queue q is FIFO queueFirst[pe] + q. */
  readonly queueFirst: Int32Array;
  /** Channel of local output queue q at outputFirst[pe] + q. */
  readonly outputFirst: Int32Array;
  readonly outputChannel: Int32Array;
}

const popCode = { never: popNever, onAdvance: popOnAdvance, always: popAlways } as const;

/** @throws IngotError with every reason that `verify` finds */
export function resolveProgram(program: MachineProgram, wafer: Wafer): ResolvedProgram {
  const { problems, layout } = layOutVerified(program, wafer);
  if (layout === undefined || problems.length > 0) throw new IngotError(problems);
  const { width, height } = program;
  const { pes, colors, ruleAt, routed, roleOf, roleNames } = layout;
  const beyond = [-width, 1, width, -1];
  const rules = program.routes.map((rule) => ({
    rx: rule.positions.map((position) => portMask(position.rx)),
    tx: rule.positions.map((position) => portMask(position.tx)),
    ring: rule.ring ?? false,
    pop: popCode[rule.pop ?? 'never'],
    filter: rule.filter,
  }));
  const anyRx = rules.map((rule) => rule.rx.reduce((a, b) => a | b, 0));
  const inputsOf = anyRx.map((mask) => [0, 1, 2, 3, 4].reduce((n, port) => n + ((mask >>> port) & 1), 0));
  const anyTx = rules.map((rule) => rule.tx.reduce((a, b) => a | b, 0));
  const swaps = program.routes.map(swapMask);
  const roles = roleNames.map((name) => resolveRole(name, program.roles[name]));

  const routeFirst = new Int32Array(pes + 1);
  const channelFirst = new Int32Array(pes + 1);
  let routes = 0;
  let channels = 0;
  for (let pe = 0; pe < pes; pe++) {
    for (let rest = routed[pe]; rest !== 0; rest &= rest - 1) {
      routes++;
      channels += inputsOf[ruleAt[pe * colors + 31 - Math.clz32(rest & -rest)]];
    }
    routeFirst[pe + 1] = routes;
    channelFirst[pe + 1] = channels;
  }
  const routeColor = new Uint8Array(routes);
  const routeRule = new Int32Array(routes);
  const channelRoute = new Int32Array(channels);
  const channelPort = new Uint8Array(channels);
  const routeChannel = new Int32Array(routes);
  const queueFirst = new Int32Array(pes);
  const outputFirst = new Int32Array(pes + 1);
  let fifos = channels;
  let route = 0;
  let channel = 0;
  for (let pe = 0; pe < pes; pe++) {
    for (let rest = routed[pe]; rest !== 0; rest &= rest - 1) {
      const color = 31 - Math.clz32(rest & -rest);
      const rule = ruleAt[pe * colors + color];
      routeColor[route] = color;
      routeRule[route] = rule;
      routeChannel[route] = channel;
      for (let port = 0; port < 5; port++) {
        if (((anyRx[rule] >>> port) & 1) === 0) continue;
        channelRoute[channel] = route;
        channelPort[channel++] = port;
      }
      route++;
    }
    queueFirst[pe] = fifos;
    const role = roleOf[pe] < 0 ? undefined : roles[roleOf[pe]];
    fifos += role?.inputColors.length ?? 0;
    outputFirst[pe + 1] = outputFirst[pe] + (role?.outputColors.length ?? 0);
  }

  const routeAt = (pe: number, color: number): number => {
    for (let r = routeFirst[pe]; r < routeFirst[pe + 1]; r++) if (routeColor[r] === color) return r;
    return -1;
  };
  const channelAt = (pe: number, color: number, port: number): number => {
    const r = routeAt(pe, color);
    const inputs = anyRx[routeRule[r]];
    let c = routeChannel[r];
    for (let p = 0; p < port; p++) c += (inputs >>> p) & 1;
    return c;
  };
  const down = new Int32Array(routes * 5).fill(-1);
  const outputChannel = new Int32Array(outputFirst[pes]);
  const fifoPe = new Int32Array(fifos);
  for (let pe = 0; pe < pes; pe++) {
    const role = roleOf[pe] < 0 ? undefined : roles[roleOf[pe]];
    for (let c = channelFirst[pe]; c < channelFirst[pe + 1]; c++) fifoPe[c] = pe;
    for (let r = routeFirst[pe]; r < routeFirst[pe + 1]; r++) {
      const color = routeColor[r];
      const tx = anyTx[routeRule[r]];
      for (let port = 0; port < 4; port++)
        if ((tx >>> port) & 1)
          down[r * 5 + port] = channelAt(
            pe + beyond[port],
            (swaps[routeRule[r]] >>> port) & 1 ? swapped(color) : color,
            opposite(port),
          );
      if ((tx >>> ramp) & 1 && role !== undefined)
        down[r * 5 + ramp] = queueFirst[pe] + role.inputColors.indexOf(color);
    }
    if (role === undefined) continue;
    for (let q = 0; q < role.inputColors.length; q++) fifoPe[queueFirst[pe] + q] = pe;
    for (let q = 0; q < role.outputColors.length; q++)
      outputChannel[outputFirst[pe] + q] = channelAt(pe, role.outputColors[q], ramp);
  }
  return {
    program,
    width,
    height,
    pes,
    rules,
    routeFirst,
    routeColor,
    routeRule,
    routeChannel,
    down,
    channelFirst,
    channelRoute,
    channelPort,
    channels,
    fifos,
    fifoPe,
    roles,
    roleOf,
    queueFirst,
    outputFirst,
    outputChannel,
  };
}
