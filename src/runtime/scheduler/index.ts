// A scheduler is one file and one line here.

import { fair } from './fair.ts';
import { fcfs } from './fcfs.ts';
import { priority } from './priority.ts';
import type { PolicyFactory } from './scheduler.ts';
import { slo } from './slo.ts';

export const schedulers = { fcfs, priority, slo, fair } satisfies Record<string, PolicyFactory>;

export type SchedulerName = keyof typeof schedulers;

export { USUAL_TARGETS } from './slo.ts';
export * from './scheduler.ts';
export { createScheduler } from './continuous.ts';
