// Joins the stages of a kernel into one PE-level program: on each PE, the tasks of a stage run once those of the
// stage before it are over on that PE. Stages are programs of their own (local work, or a collective on every
// line of PEs), so a kernel is the list of what it does.

import { assert } from '../../../core/index.ts';
import type { Wafer } from '../../../spec/index.ts';
import { allocate, pesOf } from '../../machine/index.ts';
import type { Dsd, Instruction, MachineProgram, MemoryRequest, Queue, Role, Task, Tile } from '../../machine/index.ts';
import type { Axis } from '../../reduction.ts';
import { along } from '../kernel.ts';

export interface Mesh {
  readonly width: number;
  readonly height: number;
}

export interface Stage extends Pick<MachineProgram, 'routes' | 'roles' | 'tiles'> {
  /** The kernel's object that each memory object of the stage's roles stands for; others are the stage's own. */
  readonly objects?: Readonly<Record<string, string>>;
  /** Stages with one key have the same routes, without switches, and share their colors. */
  readonly line?: string;
}

/** Local work, the same on every PE. Its DSDs lie over the kernel's own objects. */
export const everywhere = (
  { width, height }: Mesh,
  dsds: Readonly<Record<string, Dsd>>,
  code: readonly Instruction[],
): Stage => ({
  routes: [],
  roles: { all: roleOf({ dsds, code }) },
  tiles: [{ on: { x: 0, y: 0, width, height }, role: 'all' }],
});

/** What a PE does in a stage of local work. */
export interface Work {
  readonly dsds: Readonly<Record<string, Dsd>>;
  readonly code: readonly Instruction[];
}

/** Local work that depends on the PE's position along `axis`; equal positions share one value. */
export function byPosition(mesh: Mesh, axis: Axis, workAt: (position: number) => Work): Stage {
  const { width, height } = mesh;
  const names = new Map<Work, string>();
  const tiles: Tile[] = [];
  const roles: Record<string, Role> = {};
  for (let position = 0; position < along(axis, mesh); position++) {
    const work = workAt(position);
    const role = names.get(work) ?? `work ${names.size}`;
    if (!names.has(work)) {
      names.set(work, role);
      roles[role] = roleOf(work);
    }
    tiles.push({
      on: axis === 'x' ? { x: position, y: 0, width: 1, height } : { x: 0, y: position, width, height: 1 },
      role,
    });
  }
  return { routes: [], roles, tiles };
}

const roleOf = ({ dsds, code }: Work): Role => ({
  memory: [],
  inputs: [],
  outputs: [],
  dsds,
  tasks: [{ name: 'main', kind: 'local', id: 8, code }],
  start: ['main'],
});

/** Where a stage's own objects start, away from the kernel's vectors, which start in bank 0. */
const scratchBank = 4;

/** Output queue that a color injects through on WSE-2 (see `spec/wafer/pe-limits.ts`). */
const colorsPerOutputQueue = 4;

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
  const placed = stages.map((stage, index): PlacedStage => {
    const known = stage.line === undefined ? undefined : lines.get(stage.line);
    const firstColor = known ?? colors;
    if (known === undefined) {
      for (const rule of stage.routes) routes.push({ ...rule, color: rule.color + firstColor });
      colors += stage.routes.reduce((n, rule) => Math.max(n, rule.color + 1), 0);
      if (stage.line !== undefined) lines.set(stage.line, firstColor);
    }
    return { stage, prefix: `${index}.`, firstColor };
  });

  // A PE's kind: its role in each stage, as digits of one number.
  const pes = mesh.width * mesh.height;
  const kindOf = new Float64Array(pes);
  for (const { roles, tiles } of stages) {
    const names = Object.keys(roles);
    for (let pe = 0; pe < pes; pe++) kindOf[pe] *= names.length + 1;
    for (const tile of tiles) for (const pe of pesOf(tile.on, mesh.width)) kindOf[pe] += names.indexOf(tile.role) + 1;
  }
  assert(kindOf.every(Number.isSafeInteger), 'the kinds of PEs of a kernel can be told apart');

  const roles: Record<string, Role> = {};
  const nameOf = new Map<number, string>();
  for (const kind of kindOf) {
    if (kind === 0 || nameOf.has(kind)) continue;
    const name = `kind ${nameOf.size}`;
    nameOf.set(kind, name);
    roles[name] = joinRoles(rolesOfKind(kind, placed), memory, wafer);
  }
  return {
    format: 'ingot-machine',
    version: 1,
    target: wafer.id,
    width: mesh.width,
    height: mesh.height,
    routes,
    roles,
    tiles: tilesOf(kindOf, nameOf, mesh),
  };
}

interface PlacedStage {
  readonly stage: Stage;
  readonly prefix: string;
  readonly firstColor: number;
}

interface PlacedRole extends PlacedStage {
  readonly role: Role;
}

function rolesOfKind(kind: number, placed: readonly PlacedStage[]): PlacedRole[] {
  let rest = kind;
  return placed
    .toReversed()
    .flatMap((place) => {
      const roles = Object.values(place.stage.roles);
      const digit = rest % (roles.length + 1);
      rest = (rest - digit) / (roles.length + 1);
      return digit === 0 ? [] : [{ ...place, role: roles[digit - 1] }];
    })
    .toReversed();
}

/** Rectangles of PEs of one kind: runs of a row, drawn down as far as the rows below have the same run. */
function tilesOf(kindOf: Float64Array, nameOf: ReadonlyMap<number, string>, { width, height }: Mesh): Tile[] {
  interface Run {
    readonly x: number;
    readonly y: number;
    readonly width: number;
    height: number;
    readonly role: string;
  }
  const tiles: Run[] = [];
  let above = new Map<number, Run>();
  for (let y = 0; y < height; y++) {
    const here = new Map<number, Run>();
    for (let x = 0; x < width; ) {
      const kind = kindOf[y * width + x];
      let end = x + 1;
      while (end < width && kindOf[y * width + end] === kind) end++;
      const role = nameOf.get(kind);
      if (role !== undefined) {
        let run = above.get(x);
        if (run?.width === end - x && run.role === role) run.height++;
        else tiles.push((run = { x, y, width: end - x, height: 1, role }));
        here.set(x, run);
      }
      x = end;
    }
    above = here;
  }
  return tiles.map(({ role, ...on }) => ({ on, role }));
}

type Request = { -readonly [K in keyof MemoryRequest]: MemoryRequest[K] };

function joinRoles(parts: readonly PlacedRole[], memory: readonly MemoryRequest[], wafer: Wafer): Role {
  const requests: Request[] = memory.map((request) => ({ ...request }));
  const inputs: Queue[] = [];
  const outputs: Queue[] = [];
  const dsds: Record<string, Dsd> = {};
  const tasks: { task: Task; code: Instruction[] }[] = [];
  for (const part of parts) {
    const { role, prefix, firstColor, stage } = part;
    const own = new Map<string, string>();
    for (const { name, dtype, length } of role.memory) {
      const held = stage.objects?.[name];
      own.set(name, held ?? prefix + name);
      if (held === undefined) requests.push({ name: prefix + name, dtype, length, bank: scratchBank });
      const known = requests.find((request) => request.name === held);
      // A stage may want room behind the values, to fill the last wavelet.
      if (known !== undefined) known.length = Math.max(known.length, length);
    }
    const objectOf = (name: string): string => own.get(name) ?? name;
    const use = (queues: Queue[], color: number, queue: number): void => {
      if (!queues.some((q) => q.color === color)) queues.push({ queue, color });
    };
    for (const { color } of role.inputs) use(inputs, color + firstColor, inputs.length);
    for (const { color } of role.outputs)
      use(outputs, color + firstColor, Math.floor((color + firstColor) / colorsPerOutputQueue));
    for (const [name, dsd] of Object.entries(role.dsds))
      dsds[prefix + name] =
        dsd.kind === 'memory' || dsd.kind === 'fifo'
          ? { ...dsd, object: objectOf(dsd.object) }
          : { ...dsd, color: dsd.color + firstColor };
    for (const { task, code } of turnsOf(role)) {
      const moved = code.map((instruction) => moveInstruction(instruction, prefix, firstColor, objectOf));
      const last = tasks.at(-1);
      if (task.kind !== 'data') {
        if (last !== undefined) last.code.push(...moved);
        else tasks.push({ task: { ...task, name: 'main', kind: 'local', id: 8, code: [] }, code: moved });
        continue;
      }
      const name = prefix + task.name;
      last?.code.push({ kind: 'unblock', task: name });
      const color = task.color + firstColor;
      tasks.push({ task: { ...task, name, color, blocked: last !== undefined, code: [] }, code: moved });
    }
  }
  return {
    memory: allocate(requests, wafer),
    inputs,
    outputs,
    dsds,
    tasks: tasks.map(({ task, code }) => ({ ...task, code })),
    start: tasks[0]?.task.kind === 'local' ? ['main'] : [],
  };
}

/** A role's tasks in the order in which they run: the one that starts, then each when its wavelet comes. */
function turnsOf(role: Role): { task: Task; code: readonly Instruction[] }[] {
  const started = role.tasks.filter((task) => role.start.includes(task.name));
  const driven = role.tasks.filter((task) => task.kind === 'data');
  assert(started.length <= 1 && started.length + driven.length === role.tasks.length, 'tasks of a stage take turns');
  // A task unblocks the next one; `joinRoles` does that again for the tasks of the whole kernel.
  return [...started, ...driven].map((task) => ({ task, code: task.code.filter((i) => i.kind !== 'unblock') }));
}

function moveInstruction(
  instruction: Instruction,
  prefix: string,
  firstColor: number,
  objectOf: (name: string) => string,
): Instruction {
  switch (instruction.kind) {
    case 'vector':
      assert(
        instruction.async?.activate === undefined && instruction.async?.unblock === undefined,
        'tasks of a stage take turns',
      );
      return {
        ...instruction,
        dst: prefix + instruction.dst,
        src: instruction.src.map((source) => (typeof source === 'string' ? prefix + source : source)),
      };
    case 'load':
    case 'store':
    case 'timestamp':
      return { ...instruction, object: objectOf(instruction.object) };
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
