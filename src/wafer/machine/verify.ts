// What can never run is refused before the first cycle, each refusal naming PE, color or address.

import { nearest, type Diagnostic } from '../../core/index.ts';
import { peLimits, type Wafer } from '../../spec/index.ts';
import { insideMesh, layOut, neighbour, opposite, peName, portMask, portNames, ramp, swapMask } from './layout.ts';
import type { Layout } from './layout.ts';
import { swapped, type MachineProgram, type Role, type RouteRule } from './pe-program.ts';
import { verifyRole } from './verify-role.ts';

/** Enough to see the pattern; a wrong rule over a whole wafer would report every PE. */
const diagnosticsShown = 20;

/** A range filter looks at the upper 16 bits of a payload; counters are kept in words. */
const mostIndex = 0xffff;
const mostCounted = 2 ** 31 - 1;

/**
 * Every reason why `program` cannot run on `wafer`; empty when it can. At most 20 are listed.
 * A program that passes may still deadlock: that depends on the order of its messages.
 */
export const verify = (program: MachineProgram, wafer: Wafer): readonly Diagnostic[] =>
  layOutVerified(program, wafer).problems;

/** The same, and the layout that it was found in; without one when the numbers are wrong already. */
export function layOutVerified(
  program: MachineProgram,
  wafer: Wafer,
): { readonly problems: readonly Diagnostic[]; readonly layout?: Layout } {
  const shape = verifyShape(program, wafer);
  if (shape.length > 0) return { problems: shape.slice(0, diagnosticsShown) };
  const layout = layOut(program, wafer.colors);
  const found = [
    ...Object.entries(program.roles).flatMap(([name, role]) => verifyRole(name, role, wafer)),
    ...claimed(program, layout),
    ...verifyRoutes(program, layout),
  ];
  return { problems: found.slice(0, diagnosticsShown), layout };
}

/** Numbers and names that everything else relies on. */
function verifyShape(program: MachineProgram, wafer: Wafer): Diagnostic[] {
  const found: Diagnostic[] = [];
  const { width, height } = program;
  if (program.format !== 'ingot-machine' || program.version !== 1)
    found.push({
      code: 'MACHINE_FORMAT',
      message: 'not a PE-level program of a known version',
      expected: 'ingot-machine version 1',
      found: `${program.format} version ${program.version}`,
    });
  if (program.target !== wafer.id || peLimits[program.target] === undefined)
    found.push({
      code: 'MACHINE_TARGET',
      message: 'the program is for another wafer',
      expected: wafer.id,
      found: program.target,
    });
  if (
    !(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0) ||
    width > wafer.programWidth ||
    height > wafer.programHeight
  )
    found.push({
      code: 'MACHINE_SIZE',
      message: `a program of ${width} x ${height} PEs does not fit ${wafer.name}`,
      expected: `at most ${wafer.programWidth} x ${wafer.programHeight}`,
    });
  const usable = wafer.colors - wafer.reservedColors;
  program.routes.forEach((rule, i) => {
    const where = `route rule ${i}, color ${rule.color}`;
    if (!(Number.isInteger(rule.color) && rule.color >= 0 && rule.color < usable))
      found.push({
        code: 'COLOR_NUMBER',
        message: `color ${rule.color} cannot be used on ${wafer.name}`,
        where,
        expected: `0 to ${usable - 1}; the ${wafer.reservedColors} above belong to the host copy`,
      });
    if (!insideMesh(rule.on, width, height))
      found.push({ code: 'PE_OUTSIDE', message: 'the rule covers PEs outside the mesh', where });
    if (rule.positions.length === 0 || rule.positions.length > wafer.switchPositions)
      found.push({
        code: 'SWITCH_POSITIONS',
        message: `a color has 1 to ${wafer.switchPositions} switch positions`,
        where,
        found: String(rule.positions.length),
      });
    for (const position of rule.positions) {
      if (position.rx.length === 0 || position.tx.length === 0)
        found.push({ code: 'ROUTE_EMPTY', message: 'a switch position needs an input and an output', where });
      if ((portMask(position.rx) & portMask(position.tx)) !== 0)
        found.push({
          code: 'ROUTE_BACK',
          message: 'a wavelet cannot leave by the port by which it came',
          where,
          found: `${position.rx.join('+')} -> ${position.tx.join('+')}`,
        });
    }
    if (rule.swap !== undefined && swapped(rule.color) >= usable)
      found.push({
        code: 'COLOR_NUMBER',
        message: `color ${rule.color} swaps with color ${swapped(rule.color)}, which cannot be used on ${wafer.name}`,
        where,
      });
    found.push(...verifyFilter(rule.filter, where));
  });
  program.tiles.forEach((tile, i) => {
    if (!insideMesh(tile.on, width, height))
      found.push({ code: 'PE_OUTSIDE', message: 'the tile covers PEs outside the mesh', where: `tile ${i}` });
    if (program.roles[tile.role] === undefined)
      found.push({
        code: 'ROLE_UNKNOWN',
        message: `no role is named "${tile.role}"`,
        where: `tile ${i}`,
        suggestion: `did you mean "${nearest(tile.role, Object.keys(program.roles)) ?? Object.keys(program.roles)[0]}"?`,
      });
  });
  return found;
}

function verifyFilter(filter: RouteRule['filter'], where: string): Diagnostic[] {
  if (filter === undefined) return [];
  const bounded = (values: readonly number[], most: number): boolean =>
    values.every((value) => Number.isInteger(value) && value >= 0 && value <= most);
  switch (filter.kind) {
    case 'counter':
      return bounded([filter.init, filter.limit], filter.max) && bounded([filter.max], mostCounted)
        ? []
        : [{ code: 'FILTER_RANGE', message: 'a counter filter needs 0 <= init, limit <= max', where }];
    case 'range':
      return bounded([filter.min], filter.max) && bounded([filter.max], mostIndex)
        ? []
        : [{ code: 'FILTER_RANGE', message: `a range filter needs 0 <= min <= max <= ${mostIndex}`, where }];
    default:
      return [
        {
          code: 'FILTER_KIND',
          message: 'no such filter is modelled',
          where,
          expected: 'counter or range',
          found: String((filter as { readonly kind: unknown }).kind),
          suggestion: 'sparse filters are named in public texts, but no rule of theirs was found',
        },
      ];
  }
}

const claimed = (program: MachineProgram, layout: Layout): Diagnostic[] =>
  layout.claims.slice(0, diagnosticsShown).map(([pe, color]) =>
    color >= 0
      ? {
          code: 'COLOR_TWO_ROUTES',
          message: `two route rules claim color ${color}`,
          where: peName(pe, program.width),
        }
      : { code: 'PE_TWO_ROLES', message: 'two tiles claim one PE', where: peName(pe, program.width) },
  );

/** Ports that a rule takes in or sends out in any of its positions. */
const anyRx = (rule: RouteRule): number => rule.positions.reduce((mask, p) => mask | portMask(p.rx), 0);
const anyTx = (rule: RouteRule): number => rule.positions.reduce((mask, p) => mask | portMask(p.tx), 0);

function verifyRoutes(program: MachineProgram, layout: Layout): Diagnostic[] {
  const { width, height, routes } = program;
  const { pes, colors, ruleAt, routed, roleOf, roleNames } = layout;
  const beyond = [-width, 1, width, -1];
  const found: Diagnostic[] = [];
  const rx = routes.map(anyRx);
  const tx = routes.map(anyTx);
  const swaps = routes.map(swapMask);
  /** The color in which what a rule sends by a port arrives behind it. */
  const beyondAs = (rule: number, port: number): number =>
    (swaps[rule] >>> port) & 1 ? swapped(routes[rule].color) : routes[rule].color;
  const inputs = roleNames.map((name) => colorMask(program.roles[name].inputs));
  const outputs = roleNames.map((name) => colorMask(program.roles[name].outputs));
  const report = (code: string, message: string, pe: number, color: number, expected?: string): void => {
    if (found.length < diagnosticsShown)
      found.push({ code, message, where: `${peName(pe, width)}, color ${color}`, expected });
  };

  const switches = roleNames.map((name) => switchesOf(program.roles[name]));
  /** Rules with several inputs in one position. */
  const mayMeet = routes.map((rule) => rule.positions.some((position) => position.rx.length > 1));

  for (let pe = 0; pe < pes; pe++) {
    const role = roleOf[pe];
    if (role >= 0)
      for (const { color, position } of switches[role]) {
        const index = ruleAt[pe * colors + color];
        if (index < 0 || position < 0 || position >= routes[index].positions.length)
          report('SWITCH_POSITIONS', `the CE turns a switch to position ${position}, which is not there`, pe, color);
      }
    const named = routed[pe] | (role >= 0 ? inputs[role] | outputs[role] : 0);
    for (let rest = named; rest !== 0; rest &= rest - 1) {
      const color = 31 - Math.clz32(rest & -rest);
      const index = ruleAt[pe * colors + color];
      const listens = role >= 0 && (inputs[role] >>> color) & 1;
      const speaks = role >= 0 && (outputs[role] >>> color) & 1;
      if (index < 0) {
        if (listens) report('QUEUE_NOT_ROUTED', 'an input queue waits on a color that is not routed here', pe, color);
        if (speaks) report('QUEUE_NOT_ROUTED', 'an output queue sends on a color that is not routed here', pe, color);
        continue;
      }
      if (((tx[index] >>> ramp) & 1) !== (listens ? 1 : 0))
        report(
          'RAMP_MISMATCH',
          listens
            ? 'an input queue waits on a color that no route sends to the ramp'
            : 'a route sends to a CE that has no input queue for it',
          pe,
          color,
        );
      if (speaks && ((rx[index] >>> ramp) & 1) === 0)
        report('RAMP_MISMATCH', 'the CE sends on a color whose route does not take the ramp as input', pe, color);
      for (let port = 0; port < 4; port++) {
        if (((tx[index] >>> port) & 1) === 0) continue;
        const to = isEdge(pe, port, width, height) ? -1 : pe + beyond[port];
        if (to < 0) {
          report('ROUTE_OFF_MESH', `the route leaves the mesh by ${portNames[port]}`, pe, color);
          continue;
        }
        const arrivesAs = beyondAs(index, port);
        const next = ruleAt[to * colors + arrivesAs];
        if (next < 0 || ((rx[next] >>> opposite(port)) & 1) === 0)
          report(
            'COLOR_UNROUTABLE',
            `the route sends ${portNames[port]} to ${peName(to, width)}, which does not take ${arrivesAs === color ? 'the color' : `color ${arrivesAs}`} from ${portNames[opposite(port)]}`,
            pe,
            color,
            'every link of a color ends in a router that has an input for it',
          );
        const pair = ruleAt[pe * colors + swapped(color)];
        if (pair > index && (tx[pair] >>> port) & 1 && beyondAs(pair, port) === arrivesAs)
          report(
            'COLOR_TWO_WRITERS',
            `colors ${color} and ${swapped(color)} both leave by ${portNames[port]} as color ${arrivesAs}, so they write one link`,
            pe,
            color,
            'a swap of both colors of a pair, or of none',
          );
      }
      if (!mayMeet[index]) continue;
      for (const position of routes[index].positions) {
        const fed = position.rx.filter((name) => {
          const port = portNames.indexOf(name);
          if (port === ramp) return speaks;
          const from = neighbour(pe, port, width, height);
          if (from < 0) return false;
          return [color, swapped(color)].some((sent) => {
            const rule = ruleAt[from * colors + sent];
            return rule >= 0 && (tx[rule] >>> opposite(port)) & 1 && beyondAs(rule, opposite(port)) === color;
          });
        });
        if (fed.length > 1)
          report(
            'COLOR_TWO_WRITERS',
            `inputs ${fed.join(' and ')} feed one color in one switch position, so they write the same links`,
            pe,
            color,
            'one input per switch position, or another color',
          );
      }
    }
  }
  return found.length > 0 || !hasLoop(program, layout) ? found : loops(program, layout);
}

const isEdge = (pe: number, port: number, width: number, height: number): boolean =>
  port === 0 ? pe < width : port === 2 ? pe >= width * (height - 1) : pe % width === (port === 1 ? width - 1 : 0);

const switchesOf = (role: Role): readonly { readonly color: number; readonly position: number }[] =>
  role.tasks.flatMap((task) => task.code.filter((instruction) => instruction.kind === 'switch'));

/** Is there a link of fixed routes that no walk from their beginnings comes to? Presumes routes inside the mesh. */
function hasLoop({ width, routes }: MachineProgram, { pes, colors, ruleAt, routed }: Layout): boolean {
  const beyond = [-width, 1, width, -1];
  const tx = routes.map((rule) => (rule.positions.length > 1 ? 0 : portMask(rule.positions[0].tx) & 15));
  const swaps = routes.map(swapMask);
  /** The route behind a port of the route at a place. */
  const behind = (at: number, port: number): number => {
    const turn = (swaps[ruleAt[at]] >>> port) & 1 ? swapped(at % colors) - (at % colors) : 0;
    return at + beyond[port] * colors + turn;
  };
  /** Fixed routes that lead to each route. */
  const fed = new Uint8Array(pes * colors);
  const walk = new Int32Array(pes * colors);
  let left = 0;
  for (let pe = 0; pe < pes; pe++)
    for (let rest = routed[pe]; rest !== 0; rest &= rest - 1) {
      const color = 31 - Math.clz32(rest & -rest);
      left++;
      const at = pe * colors + color;
      for (let out = tx[ruleAt[at]]; out !== 0; out &= out - 1) fed[behind(at, 31 - Math.clz32(out & -out))]++;
    }
  let ends = 0;
  for (let pe = 0; pe < pes; pe++)
    for (let rest = routed[pe]; rest !== 0; rest &= rest - 1) {
      const at = pe * colors + 31 - Math.clz32(rest & -rest);
      if (fed[at] === 0) walk[ends++] = at;
    }
  while (ends > 0) {
    const at = walk[--ends];
    left--;
    for (let out = tx[ruleAt[at]]; out !== 0; out &= out - 1) {
      const next = behind(at, 31 - Math.clz32(out & -out));
      if (--fed[next] === 0) walk[ends++] = next;
    }
  }
  return left > 0;
}

/** A color whose fixed routes lead back to a router that they passed can never drain. */
function loops(program: MachineProgram, layout: Layout): Diagnostic[] {
  const { width, height, routes } = program;
  const { pes, colors, ruleAt } = layout;
  // 0 unseen, 1 on the walk, 2 done. Switched colors change their routes, so only fixed ones are walked.
  const seen = new Uint8Array(pes * colors);
  for (let start = 0; start < seen.length; start++) {
    if (seen[start] !== 0 || ruleAt[start] < 0) continue;
    const stack = [{ at: start, port: 0 }];
    seen[start] = 1;
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const rule = routes[ruleAt[top.at]];
      if (top.port === 4 || rule.positions.length > 1) {
        seen[top.at] = 2;
        stack.pop();
        continue;
      }
      const port = top.port++;
      if (((portMask(rule.positions[0].tx) >>> port) & 1) === 0) continue;
      const pe = Math.floor(top.at / colors);
      const sent = top.at % colors;
      const color = (swapMask(rule) >>> port) & 1 ? swapped(sent) : sent;
      const next = neighbour(pe, port, width, height) * colors + color;
      if (seen[next] === 1)
        return [
          {
            code: 'COLOR_LOOP',
            message: 'the routes of a color form a loop without a switch',
            where: `${peName(pe, width)}, color ${top.at % colors}`,
          },
        ];
      if (seen[next] === 0) {
        seen[next] = 1;
        stack.push({ at: next, port: 0 });
      }
    }
  }
  return [];
}

const colorMask = (queues: readonly { readonly color: number }[]): number =>
  queues.reduce((mask, { color }) => mask | (1 << color), 0);
