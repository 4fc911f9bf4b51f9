import { bytes, cycles, hertz, seconds, watts } from '../../core/index.ts';
import type { Bytes, Cycles, Hertz, Seconds, Watts } from '../../core/index.ts';
import type { Fact } from '../fact.ts';

/** A wafer-scale engine as a table of facts. A variant states only what differs from its parent. */
export interface WaferFacts {
  readonly id: string;
  readonly name: string;
  /** What a reader of any figure about it must know; absent for a machine that others have measured. */
  readonly caution?: string;
  /** Routers that the programmer's tools see, west-east and north-south. */
  readonly fabricWidth: Fact;
  readonly fabricHeight: Fact;
  /** The rectangle a program may use (the rest moves data on and off the wafer). */
  readonly programWidth: Fact;
  readonly programHeight: Fact;
  readonly advertisedPes: Fact;
  readonly clock: Fact;
  readonly sramPerPe: Fact;
  readonly sramBanks: Fact;
  readonly sramReadPerCycle: Fact;
  readonly sramWritePerCycle: Fact;
  /** fp16 multiply-accumulates that one vector instruction retires per cycle. */
  readonly fp16Lanes: Fact;
  readonly fp32Lanes: Fact;
  /** Fixed cycles of a vector instruction before its first element. */
  readonly vectorStartup: Fact;
  /** Cycles from an activation or a wavelet to the first instruction of its task. */
  readonly taskStart: Fact;
  /** Scalar instructions around a vector instruction in a loop: load the scalar, step the DSDs, branch. */
  readonly loopIteration: Fact;
  /** One floating-point division (also taken for a square root). */
  readonly division: Fact;
  readonly hop: Fact;
  /** Router to CE, or CE to router. */
  readonly ramp: Fact;
  readonly linkRate: Fact;
  readonly colors: Fact;
  readonly reservedColors: Fact;
  readonly switchPositions: Fact;
  readonly ioPerDirection: Fact;
  readonly ioLatency: Fact;
  readonly systemPower: Fact;
  /** SRAM per PE that code, stack and communication buffers take before any tensor, in kernels as others ship them. */
  readonly reservedSram: Fact;
  /** SRAM per PE that the machine and its run-time system keep, whatever runs. */
  readonly systemSram: Fact;
}

/** The same machine with names turned into typed numbers, for code that computes. */
export interface Wafer {
  readonly id: string;
  readonly name: string;
  readonly caution?: string;
  readonly fabricWidth: number;
  readonly fabricHeight: number;
  readonly programWidth: number;
  readonly programHeight: number;
  readonly clock: Hertz;
  readonly sramPerPe: Bytes;
  readonly sramBanks: number;
  readonly sramReadPerCycle: Bytes;
  readonly sramWritePerCycle: Bytes;
  readonly fp16Lanes: number;
  readonly fp32Lanes: number;
  readonly vectorStartup: Cycles;
  readonly taskStart: Cycles;
  readonly loopIteration: Cycles;
  readonly division: Cycles;
  readonly hop: Cycles;
  readonly ramp: Cycles;
  /** Wavelets per link, direction and cycle. */
  readonly linkRate: number;
  readonly colors: number;
  readonly reservedColors: number;
  readonly switchPositions: number;
  /** Bytes per second, each way. */
  readonly ioPerDirection: number;
  readonly ioLatency: Seconds;
  readonly systemPower: Watts;
  readonly reservedSram: Bytes;
  readonly systemSram: Bytes;
}

export function resolveWafer(facts: WaferFacts): Wafer {
  return {
    id: facts.id,
    name: facts.name,
    caution: facts.caution,
    fabricWidth: facts.fabricWidth.value,
    fabricHeight: facts.fabricHeight.value,
    programWidth: facts.programWidth.value,
    programHeight: facts.programHeight.value,
    clock: hertz(facts.clock.value),
    sramPerPe: bytes(facts.sramPerPe.value),
    sramBanks: facts.sramBanks.value,
    sramReadPerCycle: bytes(facts.sramReadPerCycle.value),
    sramWritePerCycle: bytes(facts.sramWritePerCycle.value),
    fp16Lanes: facts.fp16Lanes.value,
    fp32Lanes: facts.fp32Lanes.value,
    vectorStartup: cycles(facts.vectorStartup.value),
    taskStart: cycles(facts.taskStart.value),
    loopIteration: cycles(facts.loopIteration.value),
    division: cycles(facts.division.value),
    hop: cycles(facts.hop.value),
    ramp: cycles(facts.ramp.value),
    linkRate: facts.linkRate.value,
    colors: facts.colors.value,
    reservedColors: facts.reservedColors.value,
    switchPositions: facts.switchPositions.value,
    ioPerDirection: facts.ioPerDirection.value,
    ioLatency: seconds(facts.ioLatency.value),
    systemPower: watts(facts.systemPower.value),
    reservedSram: bytes(facts.reservedSram.value),
    systemSram: bytes(facts.systemSram.value),
  };
}
