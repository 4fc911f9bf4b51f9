// The payload of a control wavelet. Up to eight switch commands, obeyed by the routers on its way, and the
// control task that the CE starts. The vendor documents the content (csl-examples, tutorial topic-06/07), not
// the bits; the layout is ours: bits 0-5 task, bit 6 "CE ignores", bits 16-31 eight commands, first lowest.

export type SwitchCommand = 'none' | 'advance' | 'reset' | 'teardown';

const commandBits: readonly SwitchCommand[] = ['none', 'advance', 'reset', 'teardown'];
export const maxSwitchCommands = 8;
export const maxControlTask = 63;

export const commandAdvance = 1;
export const commandReset = 2;
export const commandTeardown = 3;

export interface Control {
  readonly commands: readonly SwitchCommand[];
  /** Control task to start in each CE that it reaches; absent: CEs ignore it. */
  readonly task?: number;
}

/** Payload as an i32, to be sent through a control fabricOut DSD. */
export function encodeControl(control: Control): number {
  if (control.commands.length > maxSwitchCommands)
    throw new RangeError(`a control wavelet holds ${maxSwitchCommands} commands, got ${control.commands.length}`);
  const task = control.task ?? 0;
  if (!(Number.isInteger(task) && task >= 0 && task <= maxControlTask))
    throw new RangeError(`control task must be 0 to ${maxControlTask}, got ${task}`);
  let bits = task | (control.task === undefined ? 1 << 6 : 0);
  control.commands.forEach((command, i) => {
    bits |= commandBits.indexOf(command) << (16 + 2 * i);
  });
  return bits | 0;
}

/** The command that the next router obeys, as a `command…` constant. */
export const firstCommand = (payload: number): number => (payload >>> 16) & 3;

/** The payload after a router removed its first command. */
export const popCommand = (payload: number): number => (payload & 0xffff) | (((payload >>> 18) & 0x3fff) << 16);

/** Control task for the CE, or -1 when CEs ignore the wavelet. */
export const controlTask = (payload: number): number => ((payload & 64) === 0 ? payload & 63 : -1);
