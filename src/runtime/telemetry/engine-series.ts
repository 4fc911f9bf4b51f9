// Series that are read from the engines when somebody asks.

import { Counter, Gauge, type Registry } from 'prom-client';
import type { Engine, EngineCounts } from '../engine.ts';

/** A model over all its versions. */
export interface MeasuredModel {
  readonly id: string;
  readonly engine: Pick<Engine, 'counts' | 'limits'>;
}

/** By name: its help, and the count that it shows. */
export type EngineSeries = Readonly<Record<string, readonly [help: string, of: (counts: EngineCounts) => number]>>;

/** @param labelsOf a model's labels, by its id */
export function registerEngineSeries<Label extends string>(
  registry: Registry,
  models: () => readonly MeasuredModel[],
  series: { readonly counters: EngineSeries; readonly gauges: EngineSeries },
  labelNames: readonly Label[],
  labelsOf: (id: string) => Readonly<Record<Label, string>>,
): void {
  for (const [name, [help, of]] of Object.entries(series.counters)) {
    registry.registerMetric(
      new Counter({
        name,
        help,
        registers: [],
        labelNames,
        collect() {
          this.reset();
          for (const { id, engine } of models()) this.inc(labelsOf(id), of(engine.counts));
        },
      }),
    );
  }
  for (const [name, [help, of]] of Object.entries(series.gauges)) {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        labelNames,
        collect() {
          this.reset();
          for (const { id, engine } of models()) this.set(labelsOf(id), of(engine.counts));
        },
      }),
    );
  }
}
