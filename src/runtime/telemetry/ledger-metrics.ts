// How usage fares on its way into the ledger.

import { Counter, Gauge, type Registry } from 'prom-client';
import type { LedgerCounts } from '../ledger/index.ts';

export function registerLedgerMetrics(registry: Registry, counts: () => LedgerCounts): void {
  registry.registerMetric(
    new Gauge({
      name: 'ingot_ledger_waiting_rows',
      help: 'Rows of usage that the database does not have yet.',
      registers: [],
      collect() {
        this.set(counts().waiting);
      },
    }),
  );
  registry.registerMetric(
    new Counter({
      name: 'ingot_ledger_lost_rows_total',
      help: 'Rows of usage for which no place was left, or whose file was damaged.',
      registers: [],
      collect() {
        this.reset();
        this.inc(counts().lost);
      },
    }),
  );
}
