// A histogram that is observed for every token: a search in an array instead of prom-client's hashing of labels, which
// takes ten times as long. It is read like prom-client's own.

import type { Metric, Registry } from 'prom-client';

/** Counts of one series. */
interface Series<Label extends string> {
  readonly labels: Readonly<Record<Label, string>>;
  readonly counts: Tally['counts'];
  sum: number;
}

/** Values that somebody has counted. */
export interface Tally {
  /** By bucket, not cumulative; the last is beyond all bounds. */
  readonly counts: Float64Array;
  readonly sum: number;
}

export interface FastHistogram<Label extends string> {
  observe(labels: Readonly<Record<Label, string>>, value: number): void;
  /** All values of a tally with the same buckets. */
  add(labels: Readonly<Record<Label, string>>, tally: Tally): void;
}

/** The first bucket whose bound is not below the value; as many as there are bounds where none is. */
export function bucketOf(bounds: Float64Array, value: number): number {
  let [low, high] = [0, bounds.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value <= bounds[middle]) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** @param key the one label that tells series apart; what else a series has is made from it */
export function registerHistogram<Label extends string>(
  registry: Registry,
  {
    name,
    help,
    key,
    buckets,
  }: { readonly name: string; readonly help: string; readonly key: Label; readonly buckets: readonly number[] },
): FastHistogram<Label> {
  const bounds = Float64Array.from(buckets);
  const all = new Map<string, Series<Label>>();

  function seriesOf(labels: Readonly<Record<Label, string>>): Series<Label> {
    let series = all.get(labels[key]);
    if (series === undefined) {
      series = { labels, counts: new Float64Array(bounds.length + 1), sum: 0 };
      all.set(labels[key], series);
    }
    return series;
  }

  function valuesOf({ labels, counts, sum }: Series<Label>): object[] {
    let count = 0;
    const within = Array.from(counts, (added, i) => {
      count += added;
      return { metricName: `${name}_bucket`, labels: { le: bounds[i] ?? '+Inf', ...labels }, value: count };
    });
    return [
      ...within,
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  }

  // What a registry asks of a metric when it writes them.
  const metric = {
    name,
    get: () =>
      Promise.resolve({
        name,
        help,
        type: 'histogram',
        aggregator: 'sum',
        values: [...all.values()].flatMap(valuesOf),
      }),
    reset: () => all.clear(),
  };
  registry.registerMetric(metric as unknown as Metric);

  return {
    observe(labels, value) {
      const series = seriesOf(labels);
      series.counts[bucketOf(bounds, value)]++;
      series.sum += value;
    },
    add(labels, { counts, sum }) {
      if (counts.every((count) => count === 0)) return;
      const series = seriesOf(labels);
      for (let i = 0; i < counts.length; i++) series.counts[i] += counts[i];
      series.sum += sum;
    },
  };
}
