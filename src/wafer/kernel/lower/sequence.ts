// Joins the stages of a kernel into one PE-level program: on each PE, the work of a stage begins once that of the
// stage before it is over on that PE. Stages are local work, or a collective on every line of PEs, so a kernel is the
// list of what it does. Lines that serve several stages keep their colors, and their tasks are entered again.

import { assert } from '../../../core/index.ts';
import type { Wafer } from '../../../spec/index.ts';
import { spaced } from '../../collective/line-program.ts';
import { moved, type LineUse, type Step, type Trigger } from '../../collective/line-step.ts';
import { createPeTurns, type PeTurns } from '../../collective/pe-turns.ts';
import type { Dsd, Instruction, MachineProgram, MemoryRequest, PeSet, Role, Tile } from '../../machine/index.ts';
import { machineProgram, mainRole, pesOf } from '../../machine/index.ts';
import type { Axis } from '../../reduction.ts';
import { along } from '../kernel.ts';

export interface Mesh {
  readonly width: number;
  readonly height: number;
}

/** Local work, or one with routes of its own. The DSDs of its roles lie over the kernel's objects. */
export interface WorkStage extends Pick<MachineProgram, 'routes' | 'roles' | 'tiles'> {
  /** Stages with one key have the same routes, without switches, and share their colors. */
  readonly line?: string;
}

/** Steps of a collective on lines of PEs, on a vector of the kernel. */
export interface LineStage extends Pick<MachineProgram, 'routes' | 'tiles'> {
  readonly line?: string;
  /** By role. */
  readonly steps: Readonly<Record<string, readonly Step[]>>;
  readonly trigger: Trigger;
  readonly use: LineUse;
}

export type Stage = WorkStage | LineStage;

/** Local work, the same on every PE. Its DSDs lie over the kernel's own objects. */
export const everywhere = (
  { width, height }: Mesh,
  dsds: Readonly<Record<string, Dsd>>,
  code: readonly Instruction[],
): WorkStage => ({
  routes: [],
  roles: { all: mainRole({ dsds }, code) },
  tiles: [{ on: { x: 0, y: 0, width, height }, role: 'all' }],
});

/** What a PE does in a stage of local work. */
export interface Work {
  readonly dsds: Readonly<Record<string, Dsd>>;
  readonly code: readonly Instruction[];
}

/** Local work that depends on the PE's position along `axis`; equal positions share one value. */
export function byPosition(mesh: Mesh, axis: Axis, workAt: (position: number) => Work): WorkStage {
  const { width, height } = mesh;
  const names = new Map<Work, string>();
  const tiles: Tile[] = [];
  const roles: Record<string, Role> = {};
  for (let position = 0; position < along(axis, mesh); position++) {
    const work = workAt(position);
    const role = names.get(work) ?? `work ${names.size}`;
    if (!names.has(work)) {
      names.set(work, role);
      roles[role] = mainRole({ dsds: work.dsds }, work.code);
    }
    tiles.push({
      on: axis === 'x' ? { x: position, y: 0, width: 1, height } : { x: 0, y: position, width, height: 1 },
      role,
    });
  }
  return { routes: [], roles, tiles };
}

/**
 * @param memory objects that every PE holds, in order
 * @returns a program in which every stage has colors of its own, or those of an earlier stage of its line
 */
export function sequence(
  mesh: Mesh,
  memory: readonly MemoryRequest[],
  stages: readonly Stage[],
  wafer: Wafer,
): MachineProgram {
  const lines = new Map<string, number>();
  let colors = 0;
  const routes: MachineProgram['routes'][number][] = [];
  const firstColors = stages.map((stage): number => {
    const known = stage.line === undefined ? undefined : lines.get(stage.line);
    if (known !== undefined) return known;
    const firstColor = colors;
    for (const rule of stage.routes) routes.push({ ...rule, color: rule.color + firstColor });
    colors += stage.routes.reduce((n, rule) => Math.max(n, rule.color + 1), 0);
    if (stage.line !== undefined) lines.set(stage.line, firstColor);
    return firstColor;
  });

  const { kindOf, kinds } = kindsOf(mesh, stages);
  const roles = Object.fromEntries(
    kinds.map((roleIn, kind) => [
      `kind ${kind}`,
      joinRoles(
        stages.flatMap((stage, index) => (roleIn[index] === '' ? [] : [{ stage, index, role: roleIn[index] }])),
        firstColors,
        memory,
        wafer,
      ),
    ]),
  );
  const tiles = tilesOf(kindOf, mesh).map(({ on, kind }) => ({ on, role: `kind ${kind}` }));
  return machineProgram(wafer, mesh, { routes, roles, tiles });
}

/** PEs with the same role in every stage are of one kind; a kind is its roles, empty where it has none. */
function kindsOf(mesh: Mesh, stages: readonly Stage[]): { kindOf: Int32Array; kinds: readonly (readonly string[])[] } {
  const pes = mesh.width * mesh.height;
  let kindOf = new Int32Array(pes);
  let kinds: readonly (readonly string[])[] = [[]];
  for (const stage of stages) {
    const names = ['', ...Object.keys('steps' in stage ? stage.steps : stage.roles)];
    const roleAt = new Int32Array(pes);
    for (const tile of stage.tiles) for (const pe of pesOf(tile.on, mesh.width)) roleAt[pe] = names.indexOf(tile.role);
    const known = new Map<number, number>();
    const next: (readonly string[])[] = [];
    kindOf = kindOf.map((kind, pe) => {
      const key = kind * names.length + roleAt[pe];
      const found = known.get(key);
      if (found !== undefined) return found;
      known.set(key, next.length);
      return next.push([...kinds[kind], names[roleAt[pe]]]) - 1;
    });
    kinds = next;
  }
  return { kindOf, kinds };
}

/** Evenly spaced sets of PEs of one kind: where rows are alike, rows and columns apart. */
function tilesOf(kindOf: Int32Array, { width, height }: Mesh): { on: PeSet; kind: number }[] {
  const alike = new Map<string, { xs: Map<number, number[]>; ys: number[] }>();
  for (let y = 0; y < height; y++) {
    const row = kindOf.subarray(y * width, (y + 1) * width);
    const key = row.join();
    let rows = alike.get(key);
    if (rows === undefined) {
      const xs = new Map<number, number[]>();
      row.forEach((kind, x) => {
        const list = xs.get(kind);
        if (list === undefined) xs.set(kind, [x]);
        else list.push(x);
      });
      alike.set(key, (rows = { xs, ys: [] }));
    }
    rows.ys.push(y);
  }
  return [...alike.values()].flatMap(({ xs, ys }) =>
    [...xs].flatMap(([kind, list]) =>
      spaced(list).flatMap((across) =>
        spaced(ys).map((down) => ({
          kind,
          on: { ...across, y: down.x, height: down.width, stepY: down.stepX },
        })),
      ),
    ),
  );
}

interface Part {
  readonly stage: Stage;
  readonly index: number;
  readonly role: string;
}

type Request = { -readonly [K in keyof MemoryRequest]: MemoryRequest[K] };

function joinRoles(
  parts: readonly Part[],
  firstColors: readonly number[],
  memory: readonly MemoryRequest[],
  wafer: Wafer,
): Role {
  const requests: Request[] = memory.map((request) => ({ ...request }));
  const turns = createPeTurns(wafer);
  for (const { stage, index, role } of parts) {
    const firstColor = firstColors[index];
    if ('steps' in stage) {
      const { trigger, use } = stage;
      turns.perform(
        stage.steps[role].map((step) => moved(step, firstColor)),
        trigger,
        use,
      );
      // Messages may need room behind the values, to fill the last wavelet.
      const held = requests.find(({ name }) => name === use.object);
      assert(held !== undefined, `the kernel holds ${use.object}`);
      held.length = Math.max(held.length, use.length);
    } else joinWork(turns, stage.roles[role], `${index}.`, firstColor);
  }
  return turns.build(requests);
}

function joinWork(turns: PeTurns, { tasks, inputs, outputs, dsds }: Role, prefix: string, firstColor: number): void {
  assert(tasks.length === 1 && tasks[0].kind === 'local', 'work is one task');
  for (const { color } of inputs) turns.listen(color + firstColor);
  for (const { color } of outputs) turns.speak(color + firstColor);
  for (const [name, dsd] of Object.entries(dsds))
    turns.dsd(
      prefix + name,
      dsd.kind === 'memory' || dsd.kind === 'fifo' ? dsd : { ...dsd, color: dsd.color + firstColor },
    );
  turns.run(...tasks[0].code.map((instruction) => moveInstruction(instruction, prefix, firstColor)));
}

function moveInstruction(instruction: Instruction, prefix: string, firstColor: number): Instruction {
  switch (instruction.kind) {
    case 'vector':
      assert(instruction.async?.activate === undefined && instruction.async?.unblock === undefined, 'work is one task');
      return {
        ...instruction,
        dst: prefix + instruction.dst,
        src: instruction.src.map((source) => (typeof source === 'string' ? prefix + source : source)),
      };
    case 'label':
      return { ...instruction, name: prefix + instruction.name };
    case 'jump':
    case 'branch':
      return { ...instruction, to: prefix + instruction.to };
    case 'dsd':
      return { ...instruction, dsd: prefix + instruction.dsd };
    case 'switch':
      return { ...instruction, color: instruction.color + firstColor };
    default:
      return instruction;
  }
}
