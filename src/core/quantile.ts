/**
 * Quantile of a sample by linear interpolation between order statistics (Hyndman and Fan 1996, type 7).
 * @param q in [0, 1]
 * @returns NaN for an empty sample
 */
export function quantile(sample: readonly number[], q: number): number {
  if (!(q >= 0 && q <= 1)) throw new RangeError(`quantile must be in [0, 1], got ${q}`);
  if (sample.length === 0) return NaN;
  const sorted = [...sample].sort((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const low = Math.floor(position);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (position - low);
}

export const median = (sample: readonly number[]): number => quantile(sample, 0.5);
