// Yield as mathematics. A part is the smallest piece that a killer defect takes with it: a PE of a wafer, a
// multiprocessor of a GPU, a whole chip. Probabilities that differ from 0 or 1 by less than a double can hold
// are kept as natural logarithms.

import { spareColumns, spareRows, type WaferStructure } from './structure.ts';

/**
 * Probability that a part of `area` mm² has no killer defect at `density` per mm².
 * Poisson: exp(-A D). Averaged over a gamma-distributed density of shape a, (1 + A D / a)^-a, the negative
 * binomial. Sources: Murphy, Proc. IEEE 52(12), 1964 (averaging over a distribution of densities); Stapper, IEEE
 * Trans. Electron Devices 20(7), 1973 (the gamma distribution).
 * @param clustering a; absent for Poisson, its limit for large a
 */
export function partYield(area: number, density: number, clustering?: number): number {
  return Math.exp(logYield(area * density, clustering));
}

/** 1 - partYield, exact where it is far below 1. */
export function partLoss(area: number, density: number, clustering?: number): number {
  return -Math.expm1(logYield(area * density, clustering));
}

const logYield = (mean: number, clustering: number | undefined): number =>
  clustering === undefined ? -mean : -clustering * Math.log1p(mean / clustering);

/** Natural logarithms of the two sides of a distribution function. */
export interface Tail {
  /** ln P(K ≤ k) */
  readonly logAtMost: number;
  /** ln P(K > k) */
  readonly logMore: number;
}

/**
 * Both sides of the binomial distribution at k, for n independent trials of probability p. The terms of the side
 * away from the mean are added as logarithms, each from its neighbour, so neither side is lost to rounding.
 */
export function binomialTail(n: number, p: number, k: number): Tail {
  if (k < 0) return { logAtMost: -Infinity, logMore: 0 };
  if (k >= n || p <= 0) return { logAtMost: 0, logMore: -Infinity };
  if (p >= 1) return { logAtMost: -Infinity, logMore: 0 };
  const logOdds = Math.log(p) - Math.log1p(-p);
  let term = n * Math.log1p(-p);
  let below = term;
  let i = 0;
  for (; i < k; i++) {
    term += Math.log((n - i) / (i + 1)) + logOdds;
    below = logAdd(below, term);
  }
  if (k < n * p) return { logAtMost: below, logMore: logOneMinus(below) };
  let above = -Infinity;
  for (; i < n; i++) {
    term += Math.log((n - i) / (i + 1)) + logOdds;
    above = logAdd(above, term);
    // Past the mean each term is smaller than the one before by a growing factor.
    if (term < above - 45) break;
  }
  return { logAtMost: logOneMinus(above), logMore: above };
}

/** ln(e^a + e^b) */
function logAdd(a: number, b: number): number {
  const [high, low] = a > b ? [a, b] : [b, a];
  return low === -Infinity ? high : high + Math.log1p(Math.exp(low - high));
}

/** ln(1 - e^a) for a ≤ 0 */
const logOneMinus = (a: number): number => (a > -Math.LN2 ? Math.log(-Math.expm1(a)) : Math.log1p(-Math.exp(a)));

/** Probability that at most `spares` of `parts` equal, independent parts are dead, any spare replacing any part. */
export const spareYield = (parts: number, loss: number, spares: number): Tail => binomialTail(parts, loss, spares);

/** The fewest spares among `parts` parts with which the yield reaches `target`. */
export function sparesNeeded(parts: number, loss: number, target: number): number {
  const logTarget = Math.log(target);
  let [low, high] = [0, 1];
  while (high < parts && spareYield(parts, loss, high).logAtMost < logTarget) [low, high] = [high, 2 * high];
  high = Math.min(high, parts);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spareYield(parts, loss, middle).logAtMost < logTarget) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Probability that `repair` succeeds where PEs die independently with probability `loss` and all links work:
 * a row is given up when more of its PEs are dead than there are spare columns, the wafer when more rows are
 * given up than there are spare rows. One binomial tail inside another.
 */
export function repairYield(structure: WaferStructure, loss: number): Tail {
  const row = binomialTail(structure.width, loss, spareColumns(structure));
  return binomialTail(structure.height, Math.exp(row.logMore), spareRows(structure));
}
