// The simulated machine as Prometheus sees it: its last window while something runs, at rest else.

import { Counter, Gauge, type Registry } from 'prom-client';
import type { ServedModel } from '../http/served-model.ts';
import type { HardwareMonitor } from './hardware-monitor.ts';
import type { HardwareState } from './hardware-model.ts';

/** As labels: what power goes to. */
const causes = { idle: 'idle', elements: 'elements', fabric: 'fabric', off_wafer: 'offWafer' } as const;

const figures: Readonly<Record<string, readonly [help: string, of: (state: HardwareState) => number]>> = {
  ingot_simulated_hottest_die_celsius: ['Simulated temperature of the hottest die.', (s) => s.hottest],
  ingot_simulated_coolant_celsius: [
    'Simulated temperature of the coolant where it leaves the warmest wafer.',
    (s) => s.coolant,
  ],
  ingot_simulated_clock_scale_ratio: [
    'Factor that the clock would fall by to keep every die within its limit; 1 is full speed. Times do not have it.',
    (s) => s.clockScale,
  ],
};

const byStage: Readonly<Record<string, readonly [help: string, of: 'busy' | 'linkLoad']>> = {
  ingot_simulated_region_busy_ratio: ['Share of simulated time in which a region computes.', 'busy'],
  ingot_simulated_link_load_ratio: [
    "Share of the cycles of a region's links in which they carry a wavelet, simulated.",
    'linkLoad',
  ],
};

export interface Monitored {
  readonly model: Pick<ServedModel, 'id' | 'engine'>;
  readonly monitor: HardwareMonitor;
}

export function registerHardwareMetrics(registry: Registry, monitored: () => readonly Monitored[]): void {
  const states = (): (readonly [id: string, state: HardwareState])[] =>
    monitored().map(({ model: { id, engine }, monitor }) => [
      id,
      engine.counts.running > 0 ? monitor.latest() : monitor.resting(),
    ]);
  const gauge = (
    name: string,
    help: string,
    label: 'cause' | 'stage' | undefined,
    samples: (state: HardwareState) => Readonly<Record<string, number>>,
  ): void =>
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        labelNames: label === undefined ? ['model'] : ['model', label],
        collect() {
          this.reset();
          for (const [model, state] of states())
            for (const [key, value] of Object.entries(samples(state)))
              this.set(label === undefined ? { model } : { model, [label]: key }, value);
        },
      }),
    );
  gauge('ingot_simulated_power_watts', 'Simulated power of all systems by cause.', 'cause', ({ power }) =>
    Object.fromEntries(Object.entries(causes).map(([label, cause]) => [label, power[cause]])),
  );
  for (const [name, [help, of]] of Object.entries(figures))
    gauge(name, help, undefined, (state) => ({ '': of(state) }));
  for (const [name, [help, of]] of Object.entries(byStage))
    gauge(name, help, 'stage', ({ stages }) => Object.fromEntries(stages.map((stage, s) => [String(s), stage[of]])));
  registry.registerMetric(
    new Counter({
      name: 'ingot_simulated_energy_joules_total',
      help: 'Simulated energy of all systems by cause, while the wafer computed.',
      registers: [],
      labelNames: ['model', 'cause'],
      collect() {
        this.reset();
        for (const { model, monitor } of monitored()) {
          const energy = monitor.energy();
          for (const [label, cause] of Object.entries(causes))
            this.inc({ model: model.id, cause: label }, energy[cause]);
        }
      },
    }),
  );
}
