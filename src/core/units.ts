// Units as distinct types. A branded number is a plain number at run time; the brand stops a value in
// cycles from being passed where seconds are wanted. TypeScript widens `a + b` to `number`, so a sum
// that should keep its unit is given it again.

declare const unit: unique symbol;
export type Unit<Name extends string> = number & { readonly [unit]: Name };

/** Fabric clock cycles. */
export type Cycles = Unit<'cycles'>;
export type Bytes = Unit<'bytes'>;
export type Seconds = Unit<'seconds'>;
export type Joules = Unit<'joules'>;
export type Watts = Unit<'watts'>;
export type Hertz = Unit<'hertz'>;

export const cycles = (n: number): Cycles => n as Cycles;
export const bytes = (n: number): Bytes => n as Bytes;
export const seconds = (n: number): Seconds => n as Seconds;
export const joules = (n: number): Joules => n as Joules;
export const watts = (n: number): Watts => n as Watts;
export const hertz = (n: number): Hertz => n as Hertz;

/** A value times a pure number keeps its unit. */
export const scale = <U extends Unit<string>>(value: U, factor: number): U => (value * factor) as U;

/** Energy drawn at constant power. */
export const energy = (power: Watts, time: Seconds): Joules => joules(power * time);
