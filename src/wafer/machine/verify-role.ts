// The laws of one role: numbers that the target has, memory inside SRAM, operands inside their objects.

import { didYouMean, type Diagnostic } from '../../core/index.ts';
import { peLimits, type Wafer } from '../../spec/index.ts';
import { sourceCount } from './arithmetic.ts';
import { dtypeBytes } from './pe-program.ts';
import type { Dsd, Dtype, Instruction, MemoryObject, Role, ScalarSource, Task, VectorSource } from './pe-program.ts';

/** Registers of a CE that a program may name; not published, chosen small. */
export const registerCount = 16;
const maxExtents = 4;
/** Pending and blocked tasks are bits of one word. */
const maxTasks = 31;

/** Bytes of SRAM that a role takes: its objects up to the highest address, and its code. */
export function sramOf(role: Role, target: string): { readonly objects: number; readonly code: number } {
  const instructions = role.tasks.reduce((n, task) => n + task.code.length, 0);
  return {
    objects: role.memory.reduce((end, o) => Math.max(end, o.address + o.length * dtypeBytes(o.dtype)), 0),
    code: instructions * peLimits[target].bytesPerInstruction.value,
  };
}

export function verifyRole(name: string, role: Role, wafer: Wafer): Diagnostic[] {
  const limits = peLimits[wafer.id];
  const found: Diagnostic[] = [];
  const report = (code: string, message: string, where: string, more: Partial<Diagnostic> = {}): void => {
    found.push({ code, message, where: `role "${name}", ${where}`, ...more });
  };
  const unknown = (kind: string, asked: string, known: Iterable<string>, where: string): void => {
    report('NAME_UNKNOWN', `no ${kind} is named "${asked}"`, where, { suggestion: didYouMean(asked, known) });
  };

  verifyMemory(role, wafer, report);
  verifyQueues(role, wafer, report);

  const objects = new Map(role.memory.map((object) => [object.name, object]));
  for (const [dsdName, dsd] of Object.entries(role.dsds)) verifyDsd(role, dsdName, dsd, objects, report, unknown);

  const tasks = new Map(role.tasks.map((task) => [task.name, task]));
  if (tasks.size !== role.tasks.length) report('NAME_TWICE', 'two tasks have one name', 'tasks');
  for (const started of role.start)
    if (!tasks.has(started)) unknown('task', started, tasks.keys(), 'start');
    else if (tasks.get(started)?.kind !== 'local')
      report('TASK_KIND', `only local tasks are activated; "${started}" is not one`, 'start');
  const ids = new Set<string>();
  for (const task of role.tasks) {
    const where = `task "${task.name}"`;
    if (task.kind === 'data') {
      if (!role.inputs.some((queue) => queue.color === task.color))
        report('TASK_QUEUE', `a data task needs an input queue of color ${task.color}`, where);
      for (const register of argumentsOf(task)) verifyRegister(register, where, report);
    } else {
      const [first, ceiling] =
        task.kind === 'local' ? [limits.firstTaskId.value, limits.taskIds.value] : [0, limits.controlTaskIds.value];
      if (!(Number.isInteger(task.id) && task.id >= first && task.id < ceiling))
        report('TASK_ID', `${task.kind} task id ${task.id}`, where, { expected: `${first} to ${ceiling - 1}` });
    }
    const id = task.kind === 'data' ? `color ${task.color}` : `${task.kind} ${task.id}`;
    if (ids.has(id)) report('TASK_ID', `two tasks share ${id}`, where);
    ids.add(id);

    const labels = new Set(task.code.filter((i) => i.kind === 'label').map((i) => i.name));
    task.code.forEach((instruction, index) => {
      const at = `${where}, instruction ${index}`;
      if ((instruction.kind === 'jump' || instruction.kind === 'branch') && !labels.has(instruction.to))
        unknown('label', instruction.to, labels, at);
      if (instruction.kind === 'activate' || instruction.kind === 'block' || instruction.kind === 'unblock') {
        if (!tasks.has(instruction.task)) unknown('task', instruction.task, tasks.keys(), at);
        else if (instruction.kind === 'activate' && tasks.get(instruction.task)?.kind !== 'local')
          report('TASK_KIND', `only local tasks are activated; "${instruction.task}" is not one`, at);
      }
      if (instruction.kind === 'switch' && !(instruction.color >= 0 && instruction.color < wafer.colors))
        report('COLOR_NUMBER', `color ${instruction.color} does not exist`, at);
      if (instruction.kind === 'dsd') {
        const dsd = role.dsds[instruction.dsd];
        if (dsd === undefined) unknown('DSD', instruction.dsd, Object.keys(role.dsds), at);
        else if (instruction.set !== 'length' && dsd.kind !== 'memory')
          report('OPERAND_KIND', `"${instruction.dsd}" has no offset: it is not in memory`, at);
        else if (instruction.set === 'length' && dsd.kind === 'memory' && dsd.extents.length > 1)
          report('OPERAND_KIND', `"${instruction.dsd}" has several extents, so no single length`, at);
      }
      if (instruction.kind === 'load' || instruction.kind === 'store' || instruction.kind === 'timestamp') {
        const object = objects.get(instruction.object);
        if (object === undefined) unknown('memory object', instruction.object, objects.keys(), at);
        else if (
          typeof instruction.index === 'number' &&
          !(instruction.index >= 0 && instruction.index < object.length)
        )
          report('MEMORY_BOUNDS', `element ${instruction.index} of "${object.name}"`, at, {
            expected: `0 to ${object.length - 1}`,
          });
        if (instruction.kind === 'timestamp' && object !== undefined && object.dtype !== 'i32')
          report('DTYPE_MISMATCH', 'a timestamp is an i32', at, { found: object.dtype });
      }
      for (const register of registersOf(instruction)) verifyRegister(register, at, report);
      if (instruction.kind === 'vector') {
        const thread = instruction.async?.thread;
        if (thread !== undefined && !(Number.isInteger(thread) && thread >= 0 && thread < limits.microthreads.value))
          report('MICROTHREAD', `microthread ${thread}`, at, { expected: `0 to ${limits.microthreads.value - 1}` });
        for (const task of [instruction.async?.activate, instruction.async?.unblock])
          if (task !== undefined && !tasks.has(task)) unknown('task', task, tasks.keys(), at);
        verifyVector(role, instruction, objects, at, report, unknown);
      }
    });
  }
  return found;
}

type Report = (code: string, message: string, where: string, more?: Partial<Diagnostic>) => void;
type Unknown = (kind: string, asked: string, known: Iterable<string>, where: string) => void;
type Vector = Extract<Instruction, { kind: 'vector' }>;

function verifyMemory(role: Role, wafer: Wafer, report: Report): void {
  const sorted = [...role.memory].sort((a, b) => a.address - b.address);
  if (role.tasks.length > maxTasks)
    report('TASK_COUNT', `a role has at most ${maxTasks} tasks`, 'tasks', { found: String(role.tasks.length) });
  if (new Set(sorted.map((o) => o.name)).size !== sorted.length)
    report('NAME_TWICE', 'two memory objects have one name', 'memory');
  let end = 0;
  for (const object of sorted) {
    const where = `memory object "${object.name}" at address ${object.address}`;
    const size = dtypeBytes(object.dtype);
    if (
      !(Number.isInteger(object.length) && object.length > 0 && Number.isInteger(object.address) && object.address >= 0)
    )
      report('MEMORY_SHAPE', 'length must be a positive integer and the address an integer', where);
    if (object.address % size !== 0)
      report('MEMORY_ALIGN', `${object.dtype} needs an address divisible by ${size}`, where);
    if (object.over !== undefined) {
      const under = role.memory.find((o) => o.name === object.over);
      if (
        under === undefined ||
        object.address < under.address ||
        object.address + object.length * size > under.address + under.length * dtypeBytes(under.dtype)
      )
        report('MEMORY_OVER', `the object does not lie inside "${object.over}"`, where);
      continue;
    }
    if (object.address < end) report('MEMORY_OVERLAP', 'the object overlaps the one before it', where);
    end = Math.max(end, object.address + object.length * size);
  }
  const { objects, code } = sramOf(role, wafer.id);
  if (objects + code > wafer.sramPerPe)
    report('SRAM_OVER', `${objects} B of objects and ${code} B of code do not fit the SRAM`, `address ${objects}`, {
      expected: `at most ${wafer.sramPerPe} B`,
      suggestion: 'spread the tensors over more PEs',
    });
}

function verifyQueues(role: Role, wafer: Wafer, report: Report): void {
  const limits = peLimits[wafer.id];
  for (const [kind, queues, ceiling] of [
    ['input', role.inputs, limits.inputQueues.value],
    ['output', role.outputs, limits.outputQueues.value],
  ] as const) {
    const colors = new Set<number>();
    const numbers = new Set<number>();
    for (const { queue, color } of queues) {
      const where = `${kind} queue ${queue}, color ${color}`;
      if (!(Number.isInteger(queue) && queue >= 0 && queue < ceiling))
        report('QUEUE_NUMBER', `${wafer.name} has no ${kind} queue ${queue}`, where, {
          expected: `0 to ${ceiling - 1}`,
          suggestion: 'sum by another collective, or let a PE use fewer colors',
        });
      if (!(Number.isInteger(color) && color >= 0 && color < wafer.colors - wafer.reservedColors))
        report('COLOR_NUMBER', `color ${color} cannot be used`, where);
      if (colors.has(color)) report('QUEUE_TWICE', `color ${color} has two ${kind} queues`, where);
      // Several colors may leave by one output queue (color / 4 on WSE-2), but an input queue holds one color.
      if (kind === 'input' && numbers.has(queue)) report('QUEUE_TWICE', 'two colors share an input queue', where);
      colors.add(color);
      numbers.add(queue);
    }
  }
}

/** Lowest and highest element that a memory DSD touches. */
export function reach(dsd: Extract<Dsd, { kind: 'memory' }>): readonly [low: number, high: number] {
  const strides = dsd.strides ?? denseStrides(dsd.extents);
  let low = dsd.offset ?? 0;
  let high = low;
  dsd.extents.forEach((extent, d) => {
    const span = (extent - 1) * strides[d];
    if (span < 0) low += span;
    else high += span;
  });
  return [low, high];
}

export const denseStrides = (extents: readonly number[]): number[] =>
  extents.map((_, d) => extents.slice(d + 1).reduce((a, b) => a * b, 1));

export const dsdLength = (dsd: Dsd): number =>
  dsd.kind === 'memory' ? dsd.extents.reduce((a, b) => a * b, 1) : dsd.length;

function verifyDsd(
  role: Role,
  name: string,
  dsd: Dsd,
  objects: ReadonlyMap<string, MemoryObject>,
  report: Report,
  unknown: Unknown,
): void {
  const where = `DSD "${name}"`;
  if (!(Number.isInteger(dsdLength(dsd)) && dsdLength(dsd) > 0))
    report('DSD_SHAPE', 'a DSD has at least one element', where);
  if (dsd.kind === 'fabricIn' || dsd.kind === 'fabricOut') {
    const queues = dsd.kind === 'fabricIn' ? role.inputs : role.outputs;
    if (!queues.some((queue) => queue.color === dsd.color))
      report(
        'DSD_QUEUE',
        `no ${dsd.kind === 'fabricIn' ? 'input' : 'output'} queue is bound to color ${dsd.color}`,
        where,
      );
    return;
  }
  const object = objects.get(dsd.object);
  if (object === undefined) {
    unknown('memory object', dsd.object, objects.keys(), where);
    return;
  }
  if (dsd.kind === 'fifo') return;
  if (dsd.extents.length > maxExtents || (dsd.strides ?? dsd.extents).length !== dsd.extents.length)
    report('DSD_SHAPE', `1 to ${maxExtents} extents, each with a stride`, where);
  const [low, high] = reach(dsd);
  if (low < 0 || high >= object.length) {
    const size = dtypeBytes(object.dtype);
    const bad = high >= object.length ? high : low;
    report('DSD_BOUNDS', `element ${bad} of "${object.name}", address ${object.address + bad * size}`, where, {
      expected: `0 to ${object.length - 1}`,
    });
  }
}

function verifyVector(
  role: Role,
  vector: Vector,
  objects: ReadonlyMap<string, MemoryObject>,
  where: string,
  report: Report,
  unknown: Unknown,
): void {
  if (vector.src.length !== sourceCount[vector.op])
    report('OPERAND_COUNT', `${vector.op} takes ${sourceCount[vector.op]} sources`, where, {
      found: String(vector.src.length),
    });
  if ((vector.from !== undefined) !== (vector.op === 'convert'))
    report('DTYPE_MISMATCH', '`from` belongs to convert, and only there', where);
  const resized = new Set(
    role.tasks.flatMap((task) =>
      task.code.filter((i) => i.kind === 'dsd' && i.set === 'length').map((i) => (i.kind === 'dsd' ? i.dsd : '')),
    ),
  );
  const check = (name: string, dtype: Dtype, isDst: boolean): Dsd | undefined => {
    const dsd = role.dsds[name];
    if (dsd === undefined) {
      unknown('DSD', name, Object.keys(role.dsds), where);
      return undefined;
    }
    if (dsd.kind === 'fabricIn' && isDst) report('OPERAND_KIND', `"${name}" is an input`, where);
    if (dsd.kind === 'fabricOut' && !isDst) report('OPERAND_KIND', `"${name}" is an output`, where);
    if (dsd.kind === 'memory' || dsd.kind === 'fifo') {
      const object = objects.get(dsd.object);
      if (object !== undefined && object.dtype !== dtype)
        report('DTYPE_MISMATCH', `"${name}" is over ${object.dtype}`, where, { expected: dtype });
    }
    return dsd;
  };
  const dst = check(vector.dst, vector.dtype, true);
  if (dst?.kind === 'fabricOut' && dst.control === true && vector.dtype !== 'i32')
    report('DTYPE_MISMATCH', 'the payload of a control wavelet is an i32', where, { found: vector.dtype });
  if (vector.op === 'convert' && vector.from !== undefined && dtypeBytes(vector.from) !== dtypeBytes(vector.dtype)) {
    // One wavelet would hold two elements of one side and one of the other.
    if ([vector.dst, ...vector.src].some((n) => typeof n === 'string' && role.dsds[n]?.kind.startsWith('fabric')))
      report('OPERAND_KIND', 'a convert between sizes works from memory to memory', where);
  }
  const inputs = new Set<number>();
  for (const source of vector.src) {
    if (typeof source !== 'string') continue;
    const dsd = check(source, vector.from ?? vector.dtype, false);
    if (dsd === undefined || dst === undefined) continue;
    if (dsd.kind === 'fabricIn') {
      if (inputs.has(dsd.color)) report('OPERAND_KIND', `color ${dsd.color} is read twice`, where);
      inputs.add(dsd.color);
    }
    if (!resized.has(source) && !resized.has(vector.dst) && dsdLength(dsd) !== dsdLength(dst))
      report('LENGTH_MISMATCH', `"${source}" and "${vector.dst}" differ in length`, where, {
        expected: String(dsdLength(dst)),
        found: String(dsdLength(dsd)),
      });
  }
}

function verifyRegister(register: number, where: string, report: Report): void {
  if (!(Number.isInteger(register) && register >= 0 && register < registerCount))
    report('REGISTER', `register ${register}`, where, { expected: `0 to ${registerCount - 1}` });
}

/** Registers that the payload of a data task's wavelet lands in. */
export const argumentsOf = (task: Task): number[] =>
  task.kind !== 'data'
    ? []
    : dtypeBytes(task.dtype) === 2
      ? [task.argument.register, task.argument.register + 1]
      : [task.argument.register];

/** Every register that an instruction names. */
export function registersOf(instruction: Instruction): number[] {
  const sources = (list: readonly (VectorSource | ScalarSource)[]): number[] =>
    list.flatMap((source) => (typeof source === 'object' ? [source.register] : []));
  switch (instruction.kind) {
    case 'vector':
      return sources(instruction.src);
    case 'scalar':
      return [instruction.dst.register, ...sources(instruction.src)];
    case 'load':
      return [instruction.dst.register, ...sources([instruction.index])];
    case 'store':
      return sources([instruction.index, instruction.src]);
    case 'branch':
      return sources([instruction.left, instruction.right]);
    case 'dsd':
      return sources([instruction.value]);
    default:
      return [];
  }
}
