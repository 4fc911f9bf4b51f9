// A PE-level program as a plain value (JSON-serialisable). It can be written by hand, by the `lower()` of a
// collective or kernel, or by a front end for the vendor's kernel language: colors, routes with switch
// positions, tasks, DSDs, microthreads and queues are that language's concepts, one to one
// (public examples: github Cerebras/csl-examples, tutorials topic-01 to topic-15).
//
// What is laid out over the mesh (routes, which role runs where) is kept apart from code (roles), so that a
// program for a whole wafer is as small as the number of *different* PEs.

export type Direction = 'N' | 'E' | 'S' | 'W';
/** A router's five ports; R is the ramp to its own CE. */
export type Port = Direction | 'R';
/** Memory holds 16-bit types at 2 bytes; the fabric carries two of them to a wavelet, the first in the low half. */
export type Dtype = 'fp16' | 'fp32' | 'i16' | 'i32';

/** PEs (x + i * stepX, y + j * stepY) for i < width, j < height; steps default to 1. */
export interface PeSet {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly stepX?: number;
  readonly stepY?: number;
}

/** One switch position: wavelets that come in by `rx` leave by every port of `tx`. */
export interface RoutePosition {
  readonly rx: readonly Port[];
  readonly tx: readonly Port[];
}

/** Which wavelets of a color reach the CE; the others are dropped at the ramp, not in the fabric. */
export type Filter =
  /** Passes while the count of wavelets seen is at most `limit`; the count starts at `init` and wraps to 0 after `max`. */
  | { readonly kind: 'counter'; readonly init: number; readonly limit: number; readonly max: number }
  /** Passes when the index (upper 16 bits of the payload) is in [min, max]. */
  | { readonly kind: 'range'; readonly min: number; readonly max: number };

/** How one color is routed on some PEs. */
export interface RouteRule {
  readonly on: PeSet;
  readonly color: number;
  /** In force in this order; the first at the start. */
  readonly positions: readonly RoutePosition[];
  /** Advancing past the last position returns to the first; otherwise it stays on the last. */
  readonly ring?: boolean;
  /** When a router removes the command that it obeyed, so that the next router obeys the next one. Default `never`. */
  readonly pop?: 'never' | 'onAdvance' | 'always';
  readonly filter?: Filter;
  /** Color swap: wavelets that leave along these axes do so in the other color of their pair (`swapped`), so that neighbours use both in turn. */
  readonly swap?: 'x' | 'y' | 'xy';
}

/** Which role runs on which PEs. PEs without one still route. */
export interface Tile {
  readonly on: PeSet;
  readonly role: string;
}

export interface MemoryObject {
  readonly name: string;
  readonly dtype: Dtype;
  /** Elements. */
  readonly length: number;
  /** Byte address in the PE's SRAM; bank = (address / 4) mod banks. See `allocate`. */
  readonly address: number;
  /** The object inside whose bytes this one lies: a part of it, or the same bytes as another type. */
  readonly over?: string;
}

export type Dsd =
  /** Elements of one memory object; the last extent varies fastest. Offset and strides in elements. */
  | {
      readonly kind: 'memory';
      readonly object: string;
      readonly offset?: number;
      /** 1 to 4 dimensions. */
      readonly extents: readonly number[];
      /** One per extent; default row-major and dense. Stride 0 re-reads (or accumulates into) one element. */
      readonly strides?: readonly number[];
    }
  | { readonly kind: 'fabricIn'; readonly color: number; readonly length: number }
  /** `control`: every wavelet is sent as a control wavelet (payload from `encodeControl`). */
  | { readonly kind: 'fabricOut'; readonly color: number; readonly length: number; readonly control?: boolean }
  /** A ring buffer in a memory object: as a destination it pushes, as a source it pops. */
  | { readonly kind: 'fifo'; readonly object: string; readonly length: number };

export interface Register {
  readonly register: number;
}
export type ScalarSource = number | Register;
/** A DSD by name, an immediate, or a register. */
export type VectorSource = string | ScalarSource;

/** mov a · add a+b · sub a−b · mul a·b · mac a+b·c rounded once · max · min · convert `from` → dtype. */
export type VectorOp = 'mov' | 'add' | 'sub' | 'mul' | 'mac' | 'max' | 'min' | 'convert';

/** As the vector operations; div a/b and sqrt a take as long as the wafer's division. */
export type ScalarOp = 'mov' | 'add' | 'sub' | 'mul' | 'max' | 'min' | 'div' | 'sqrt';

/** Runs beside the main thread on microthread `thread`; at its end activates or unblocks a task. */
export interface Async {
  readonly thread: number;
  readonly activate?: string;
  readonly unblock?: string;
}

export type Instruction =
  | {
      readonly kind: 'vector';
      readonly op: VectorOp;
      readonly dtype: Dtype;
      /** Only for `convert`. */
      readonly from?: Dtype;
      readonly dst: string;
      readonly src: readonly VectorSource[];
      /** Without it the main thread waits for the last element. */
      readonly async?: Async;
    }
  | {
      readonly kind: 'scalar';
      readonly op: ScalarOp;
      readonly dtype: Dtype;
      readonly dst: Register;
      readonly src: readonly ScalarSource[];
    }
  | { readonly kind: 'load'; readonly object: string; readonly index: ScalarSource; readonly dst: Register }
  | { readonly kind: 'store'; readonly object: string; readonly index: ScalarSource; readonly src: ScalarSource }
  | { readonly kind: 'label'; readonly name: string }
  | { readonly kind: 'jump'; readonly to: string }
  | {
      readonly kind: 'branch';
      readonly when: '<' | '>=' | '==' | '!=';
      readonly left: ScalarSource;
      readonly right: ScalarSource;
      readonly to: string;
    }
  | { readonly kind: 'activate' | 'block' | 'unblock'; readonly task: string }
  /** Change a DSD for later instructions: absolute offset, offset by a step, or length (last extent). */
  | {
      readonly kind: 'dsd';
      readonly set: 'offset' | 'shift' | 'length';
      readonly dsd: string;
      readonly value: ScalarSource;
    }
  /** Write a color's switch position of this PE's own router; also ends a teardown. */
  | { readonly kind: 'switch'; readonly color: number; readonly position: number }
  /** Store the cycle counter into an i32 object. Untimed runs store 0. */
  | { readonly kind: 'timestamp'; readonly object: string; readonly index: number };

export type Task = {
  readonly name: string;
  /** Starts blocked: it may be activated, but runs only after an unblock. */
  readonly blocked?: boolean;
  readonly code: readonly Instruction[];
} & (
  | { readonly kind: 'local'; readonly id: number }
  /** Started by each data wavelet of `color`, its payload in register `argument`; of two packed elements the second in the next register. */
  | { readonly kind: 'data'; readonly color: number; readonly dtype: Dtype; readonly argument: Register }
  /** Started by a control wavelet that names `id`. */
  | { readonly kind: 'control'; readonly id: number }
);

/** A color's input or output queue in the CE. */
export interface Queue {
  readonly queue: number;
  readonly color: number;
}

/** What one kind of PE holds and does. */
export interface Role {
  readonly memory: readonly MemoryObject[];
  readonly inputs: readonly Queue[];
  readonly outputs: readonly Queue[];
  readonly dsds: Readonly<Record<string, Dsd>>;
  readonly tasks: readonly Task[];
  /** Local tasks activated before the first cycle. */
  readonly start: readonly string[];
  /** Initial values of the scalar registers. */
  readonly registers?: readonly number[];
}

export interface MachineProgram {
  readonly format: 'ingot-machine';
  readonly version: 1;
  /** Id in `spec/wafer`. */
  readonly target: string;
  readonly width: number;
  readonly height: number;
  readonly routes: readonly RouteRule[];
  readonly roles: Readonly<Record<string, Role>>;
  readonly tiles: readonly Tile[];
}

/** The other color of a pair. That pairs differ in the lowest bit is ours: the tutorial (topic-14) shows pairs, no rule was found. */
export const swapped = (color: number): number => color ^ 1;

/** Bytes of one element in SRAM. */
export const dtypeBytes = (dtype: Dtype): 2 | 4 => (dtype === 'fp16' || dtype === 'i16' ? 2 : 4);

/** The PEs of a set as y * meshWidth + x, row by row. */
export function* pesOf(set: PeSet, meshWidth: number): Generator<number> {
  for (let j = 0; j < set.height; j++)
    for (let i = 0; i < set.width; i++) yield (set.y + j * (set.stepY ?? 1)) * meshWidth + set.x + i * (set.stepX ?? 1);
}
