// What one PE of a line does in a collective: steps on its vector x.

import type { VectorType } from '../phase.ts';

export type Step =
  /** Send x. */
  | { readonly do: 'send'; readonly color: number }
  /** x = x + what comes, `messages` times in a row. */
  | { readonly do: 'add'; readonly color: number; readonly messages?: number }
  /** Send x + what comes. */
  | { readonly do: 'relay'; readonly color: number; readonly to: number }
  /** x = what comes. */
  | { readonly do: 'take'; readonly color: number }
  /** Turn the own router's switch of a color. */
  | { readonly do: 'switch'; readonly color: number; readonly position: number }
  /** A control wavelet that turns the switch of the own router only. */
  | { readonly do: 'advance'; readonly color: number };

/** A step that waits for a message. */
export type WaitingStep = Extract<Step, { do: 'relay' | 'add' | 'take' }>;

export const waits = (step: Step): step is WaitingStep =>
  step.do === 'relay' || step.do === 'add' || step.do === 'take';

/**
 * `posted`: every step is issued in turn and waits for its data (all PEs post before data arrives).
 * `driven`: a PE that passes a message on learns of it by a task that its first wavelet starts. What comes before the
 * first such step is posted, so a PE that only collects waits for its data; what waits for data behind one is a task too.
 */
export type Trigger = 'posted' | 'driven';

/** The vector x of a list of steps. */
export interface LineUse {
  readonly object: string;
  /** Whole wavelets, so that one instruction can run over several messages. */
  readonly length: number;
  readonly type: VectorType;
  /** What `add` and `relay` do: add, or keep the larger. */
  readonly combine: 'add' | 'max';
}

/** Elements that fill the wavelets of `values` elements. */
export const wholeWavelets = (values: number, type: VectorType): number =>
  type === 'fp16' ? 2 * Math.ceil(values / 2) : values;

/** The same step in colors from `first` on. */
export const moved = (step: Step, first: number): Step =>
  step.do === 'relay'
    ? { ...step, color: step.color + first, to: step.to + first }
    : { ...step, color: step.color + first };
