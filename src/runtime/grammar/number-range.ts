// Decimal numbers between bounds, digit by digit: while the digits so far are those of a bound, the next one is held by it.

import { byteSet, choice, literal, NOTHING, sequence, type Expression, type Graph } from './expression.ts';

export interface Bound {
  readonly value: number;
  readonly exclusive: boolean;
}

export interface NumberBounds {
  readonly min?: Bound;
  readonly max?: Bound;
}

/** Doubles keep that many decimal digits apart. */
const EXACT_DIGITS = 15;
const WIDEST = 10 ** EXACT_DIGITS - 1;

/**
 * A bound so far out that its digits no longer tell doubles apart, such as the safe integers that generators of schemas put
 * around every whole number, is drawn in to the last number of 15 digits: what lies between is never written.
 */
export function drawnIn(bound: Bound | undefined, side: 'min' | 'max'): Bound | undefined {
  const isFar = bound !== undefined && (side === 'max' ? bound.value > WIDEST : bound.value < -WIDEST);
  return isFar ? { value: side === 'max' ? WIDEST : -WIDEST, exclusive: false } : bound;
}

/** Whether whole numbers of any 15 digits are all that the bounds let through. */
export const isWidest = ({ min, max }: NumberBounds): boolean =>
  (min === undefined || min.value === -WIDEST) && (max === undefined || max.value === WIDEST);

/** Digits before and after the point; undefined where a double has no such short form. */
function decimalOf(value: number): { readonly whole: string; readonly fraction: string } | undefined {
  const text = Math.abs(value).toString();
  const [mantissa, exponent = '0'] = text.split('e');
  const [before, after = ''] = mantissa.split('.');
  const shift = Number(exponent);
  const digits = before + after;
  const point = before.length + shift;
  const whole = point > 0 ? digits.slice(0, point).padEnd(point, '0') : '0';
  const fraction = point > 0 ? digits.slice(point) : '0'.repeat(-point) + digits;
  const short = fraction.replace(/0+$/, '');
  if (whole.length > EXACT_DIGITS || whole.length + short.length > EXACT_DIGITS + 1) return undefined;
  return { whole, fraction: short };
}

/** Whether a grammar can hold to this bound. */
export const isBoundable = (value: number): boolean => decimalOf(value) !== undefined;

interface Edge {
  readonly whole: string;
  readonly fraction: string;
  readonly exclusive: boolean;
}

/** Numbers without exponent that satisfy the bounds; whole ones only where `isInteger`. */
export function numberBetween({ min, max }: NumberBounds, isInteger: boolean): Expression {
  const edge = (bound: Bound | undefined): Edge | undefined => {
    const decimal = bound && decimalOf(bound.value);
    return decimal && { ...decimal, exclusive: bound.exclusive };
  };
  const isBelowZero = (bound: Bound | undefined): boolean => bound !== undefined && bound.value < 0;
  const ways: Expression[] = [];
  // From zero up. A bound below zero holds back nothing here.
  if (max === undefined || max.value >= 0) {
    ways.push(...magnitudes(isBelowZero(min) ? undefined : edge(min), edge(max), isInteger));
  }
  // Below zero, with the bounds' parts exchanged. No "-0": it is zero, which may not be below the upper bound.
  if (min === undefined || min.value < 0) {
    const zero: Edge = { whole: '0', fraction: '', exclusive: true };
    const least = isBelowZero(max) ? edge(max) : zero;
    ways.push(...magnitudes(least, edge(min), isInteger).map((way) => sequence(literal('-'), way)));
  }
  return ways.length === 0 ? NOTHING : choice(...ways);
}

/** Decimal numbers without sign from `low` to `high`, by their number of digits before the point. */
function magnitudes(low: Edge | undefined, high: Edge | undefined, isInteger: boolean): Expression[] {
  const from = low?.whole.length ?? 1;
  const to = high?.whole.length ?? EXACT_DIGITS;
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => {
    const length = from + i;
    return ofLength(
      length,
      low?.whole.length === length ? low : undefined,
      high?.whole.length === length ? high : undefined,
      isInteger,
    );
  });
}

/** How the digits so far compare: with the bound's, or already past it. */
interface Place {
  readonly at: number;
  readonly low: boolean;
  readonly high: boolean;
  readonly fraction: boolean;
}

function ofLength(length: number, low: Edge | undefined, high: Edge | undefined, isInteger: boolean): Expression {
  const longest = Math.max(low?.fraction.length ?? 0, high?.fraction.length ?? 0);
  const fractionDigits = isInteger ? 0 : Math.max(longest + 1, EXACT_DIGITS - length);
  const places: Place[] = [];
  const numbers = new Map<string, number>();
  const nodes: { edges: { part: Expression; to: number }[]; isEnd: boolean }[] = [];
  const numberOf = (place: Place): number => {
    const key = JSON.stringify(place);
    let number = numbers.get(key);
    if (number === undefined) {
      number = places.push(place) - 1;
      numbers.set(key, number);
    }
    return number;
  };
  const digitOf = (edge: Edge | undefined, { at, fraction }: Place): number =>
    Number((fraction ? edge?.fraction : edge?.whole)?.[at] ?? '0');
  /** The rest of a bound is zeros, so the number equals it. */
  const isSpent = (edge: Edge | undefined, { at, fraction }: Place): boolean =>
    edge !== undefined && /^0*$/.test(fraction ? edge.fraction.slice(at) : edge.fraction);
  const mayEnd = (place: Place): boolean => {
    if (place.fraction ? place.at === 0 : place.at < length) return false;
    const lowFits = !place.low || (isSpent(low, place) && low?.exclusive === false);
    const highFits = !place.high || !isSpent(high, place) || high?.exclusive === false;
    return lowFits && highFits;
  };

  numberOf({ at: 0, low: low !== undefined, high: high !== undefined, fraction: false });
  for (let i = 0; i < places.length; i++) {
    const place = places[i];
    const node: (typeof nodes)[number] = { edges: [], isEnd: mayEnd(place) };
    nodes.push(node);
    if (!place.fraction && place.at === length) {
      if (fractionDigits > 0) {
        node.edges.push({ part: literal('.'), to: numberOf({ ...place, at: 0, fraction: true }) });
      }
      continue;
    }
    if (place.fraction && place.at === fractionDigits) continue;
    const least = Math.max(
      place.low ? digitOf(low, place) : 0,
      !place.fraction && place.at === 0 && length > 1 ? 1 : 0,
    );
    const most = place.high ? digitOf(high, place) : 9;
    for (let digit = least; digit <= most; digit++) {
      const to = numberOf({
        ...place,
        at: place.at + 1,
        low: place.low && digit === digitOf(low, place),
        high: place.high && digit === digitOf(high, place),
      });
      node.edges.push({ part: byteSet([0x30 + digit, 0x30 + digit]), to });
    }
  }
  const graph: Graph = { nodes };
  return { kind: 'graph', graph };
}
