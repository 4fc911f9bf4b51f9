// The executable definition: runs a program without time, doing whatever can be done in any fair order.

import { IngotError, fail, type Rng } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { canIssue, canStep, isMainIdle, issue, startTask, startedNone, step, vectorOf } from './ce.ts';
import { findDeadlock } from './deadlock.ts';
import type { MachineProgram } from './pe-program.ts';
import { resolveProgram } from './resolve.ts';
import { cannotMove, forward } from './router.ts';
import { createState, readObject, turnSwitches, writeObject, type MachineState } from './state.ts';

/** Initial content of one memory object of one PE; objects not named start as zeros. */
export interface MemoryImage {
  readonly x: number;
  readonly y: number;
  readonly object: string;
  /** Copied before the next image is asked for, so that whoever makes images may use one array for all. */
  readonly values: ArrayLike<number>;
}

export interface InterpretOptions {
  readonly inputs?: Iterable<MemoryImage>;
  /** Visit PEs in a random order in each round; default row by row. */
  readonly rng?: Rng;
  /** Actions (a wavelet moved, an instruction, a vector step) before the run is given up. Default 10^8. */
  readonly maxActions?: number;
}

/** Memory after a run. */
export interface MemoryReader {
  read(x: number, y: number, object: string): Float64Array;
}

/** Small buffers, so that backpressure happens here too; values never depend on them. */
const depths = { link: 2, inject: 2, deliver: 2 };

/**
 * @throws IngotError as `verify` finds, DEADLOCK when nothing can move before all is done, RUN_TOO_LONG
 */
export function interpret(program: MachineProgram, wafer: Wafer, options: InterpretOptions = {}): MemoryReader {
  const m = createState(resolveProgram(program, wafer), depths);
  loadImages(m, options.inputs ?? []);
  const maxActions = options.maxActions ?? 1e8;
  const order = Uint32Array.from({ length: m.resolved.pes }, (_, i) => i);
  let actions = 0;
  for (;;) {
    if (options.rng !== undefined) shuffle(order, options.rng);
    let progress = 0;
    for (const pe of order) progress += visit(m, pe);
    actions += progress;
    if (progress === 0) break;
    if (actions > maxActions)
      fail({
        code: 'RUN_TOO_LONG',
        message: `still running after ${maxActions} actions`,
        suggestion: 'raise maxActions',
      });
  }
  const deadlock = findDeadlock(m);
  if (deadlock !== undefined) throw new IngotError(deadlock);
  return { read: (x, y, object) => readObject(m, y * m.resolved.width + x, object) };
}

export function loadImages(m: MachineState, images: Iterable<MemoryImage>): void {
  for (const { x, y, object, values } of images) writeObject(m, y * m.resolved.width + x, object, values);
}

/** Everything that one PE can do now, once. Each action is an instant of its own. */
function visit(m: MachineState, pe: number): number {
  const { channelFirst, roleOf } = m.resolved;
  let actions = 0;
  for (let channel = channelFirst[pe]; channel < channelFirst[pe + 1]; channel++) {
    if (forward(m, channel, 0, 0, 0) === cannotMove) continue;
    nextInstant(m);
    actions++;
  }
  if (roleOf[pe] < 0) return actions;
  if (isMainIdle(m, pe) && startTask(m, pe) !== startedNone) {
    nextInstant(m);
    actions++;
  }
  if (canIssue(m, pe) && issue(m, pe) !== undefined) {
    nextInstant(m);
    actions++;
  }
  for (let thread = 0; thread < m.threads; thread++) {
    const v = vectorOf(m, pe, thread);
    if (v === undefined) continue;
    const count = canStep(m, pe, thread, v, v.perWavelet > 0 ? v.perWavelet : 1);
    if (count === 0) continue;
    step(m, pe, thread, v, count, 0);
    nextInstant(m);
    actions++;
  }
  return actions;
}

function nextInstant(m: MachineState): void {
  turnSwitches(m);
  m.now++;
}

/** Fisher and Yates, in place. */
function shuffle(order: Uint32Array, rng: Rng): void {
  for (let i = order.length - 1; i > 0; i--) {
    const j = rng.u32() % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
}
