// Instructions, DSDs, roles and programs as kernels and collectives write them: what goes without saying is added here.

import type { Wafer } from '../../spec/index.ts';
import type {
  Dsd,
  Dtype,
  Instruction,
  MachineProgram,
  Register,
  Role,
  ScalarOp,
  ScalarSource,
  VectorOp,
  VectorSource,
} from './pe-program.ts';

type InstructionOf<Kind extends Instruction['kind']> = Extract<Instruction, { kind: Kind }>;

/** Writes vector instructions on elements of one type. */
export const vectorsOf =
  (dtype: Dtype) =>
  (op: VectorOp, dst: string, ...src: VectorSource[]): InstructionOf<'vector'> => ({
    kind: 'vector',
    op,
    dtype,
    dst,
    src,
  });

/** Writes scalar instructions of one type. */
export const scalarsOf =
  (dtype: Dtype) =>
  (op: ScalarOp, dst: Register, ...src: ScalarSource[]): InstructionOf<'scalar'> => ({
    kind: 'scalar',
    op,
    dtype,
    dst,
    src,
  });

/** Scalar instructions that count and address. */
export const integer = scalarsOf('i32');

export const load = (object: string, index: ScalarSource, dst: Register): Instruction => ({
  kind: 'load',
  object,
  index,
  dst,
});

export const store = (object: string, index: ScalarSource, src: ScalarSource): Instruction => ({
  kind: 'store',
  object,
  index,
  src,
});

export const label = (name: string): Instruction => ({ kind: 'label', name });
export const jump = (to: string): Instruction => ({ kind: 'jump', to });

export const branch = (
  left: ScalarSource,
  when: InstructionOf<'branch'>['when'],
  right: ScalarSource,
  to: string,
): Instruction => ({ kind: 'branch', when, left, right, to });

/** Later instructions find the DSD at an absolute offset, a step further, or with another length. */
export const setDsd = (dsd: string, set: InstructionOf<'dsd'>['set'], value: ScalarSource): Instruction => ({
  kind: 'dsd',
  set,
  dsd,
  value,
});

export const fabricIn = (color: number, length: number): Dsd => ({ kind: 'fabricIn', color, length });
export const fabricOut = (color: number, length: number): Dsd => ({ kind: 'fabricOut', color, length });
/** Control wavelets. */
export const controlOut = (color: number): Dsd => ({ kind: 'fabricOut', color, length: 1, control: true });

/** Ids of local tasks begin above those of data tasks. */
export const firstLocalTask = 8;

/** A PE that does one thing at once. */
export const mainRole = (role: Partial<Role> & Pick<Role, 'dsds'>, code: readonly Instruction[]): Role => ({
  memory: [],
  inputs: [],
  outputs: [],
  tasks: [{ name: 'main', kind: 'local', id: firstLocalTask, code }],
  start: ['main'],
  ...role,
});

export const machineProgram = (
  wafer: Wafer,
  { width, height }: Pick<MachineProgram, 'width' | 'height'>,
  { routes, roles, tiles }: Pick<MachineProgram, 'routes' | 'roles' | 'tiles'>,
): MachineProgram => ({
  format: 'ingot-machine',
  version: 1,
  target: wafer.id,
  width,
  height,
  routes,
  roles,
  tiles,
});
