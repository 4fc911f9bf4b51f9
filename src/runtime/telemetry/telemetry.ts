// What the API tells of itself: metrics under two sets of names, and a record of each request for whoever keeps logs,
// traces or accounts. Engines are watched from the first request on that reaches them.

import type { Seconds } from '../../core/index.ts';
import type { Engine } from '../engine.ts';
import type { LedgerCounts } from '../ledger/index.ts';
import type { ServedModel } from '../http/served-model.ts';
import { createHardwareHistory, type HardwareHistory } from './hardware-endpoint.ts';
import { registerHardwareMetrics, type Monitored } from './hardware-metrics.ts';
import { registerLedgerMetrics } from './ledger-metrics.ts';
import { createHardwareMonitor, type HardwareMonitor } from './hardware-monitor.ts';
import type { MeasuredModel } from './engine-series.ts';
import { createApiMetrics, type ApiMetrics, type Exposition } from './metrics.ts';
import { openRecord, type OpenRecord, type RequestRecord } from './request-record.ts';
import { createVllmMetrics } from './vllm-metrics.ts';

export interface TelemetryOptions {
  readonly models: () => readonly ServedModel[];
  /** The same over all their versions. */
  readonly measured: () => readonly MeasuredModel[];
  /** Longest that a streamed token waits for others. */
  readonly coalescing?: Seconds;
  /** Hears of each request when it is over. It must not throw. */
  readonly onRequest?: (record: RequestRecord) => void;
  readonly ledger?: () => LedgerCounts;
}

const NO_LEDGER: LedgerCounts = { waiting: 0, lost: 0 };

export interface Telemetry {
  readonly metrics: ApiMetrics;
  readonly vllm: Exposition;
  readonly hardware: HardwareHistory;
  open(begun: Parameters<typeof openRecord>[0]): OpenRecord;
}

export function createTelemetry({ models, measured, coalescing, onRequest, ledger }: TelemetryOptions): Telemetry {
  const metrics = createApiMetrics(measured, coalescing);
  const vllm = createVllmMetrics(measured);
  const watched = new WeakSet<Engine>();
  const monitors = new WeakMap<Engine, HardwareMonitor>();

  function watch(model: ServedModel): void {
    const { id, engine } = model;
    if (watched.has(engine)) return;
    watched.add(engine);
    const monitor = monitorOf(model)?.monitor;
    engine.watchSteps((step) => {
      metrics.stepped(id, step);
      vllm.stepped(id, step);
      monitor?.stepped(step);
    });
  }

  function monitorOf(model: ServedModel): Monitored | undefined {
    if (model.hardware === undefined) return undefined;
    let monitor = monitors.get(model.engine);
    if (monitor === undefined) monitors.set(model.engine, (monitor = createHardwareMonitor(model.hardware)));
    return { model, monitor };
  }
  const monitored = (): readonly Monitored[] => models().flatMap((model) => monitorOf(model) ?? []);
  const hardware = createHardwareHistory(monitored);
  registerHardwareMetrics(metrics.registry, monitored);
  registerLedgerMetrics(metrics.registry, ledger ?? (() => NO_LEDGER));

  return {
    metrics,
    vllm,
    hardware,
    open(begun) {
      const open = openRecord(begun);
      let on: Monitored | undefined;
      return {
        ...open,
        asked(model, what) {
          watch(model);
          on = monitorOf(model);
          open.asked(model, what);
        },
        end(how) {
          const record = open.end(how);
          if (record === undefined) return undefined;
          metrics.ended(record);
          vllm.ended(record);
          if (on !== undefined) hardware.ended(record, on.monitor);
          onRequest?.(record);
          return record;
        },
      };
    },
  };
}
