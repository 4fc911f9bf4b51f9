// A scheduler is one file and one line here.

import { createFcfsScheduler } from './fcfs.ts';
import type { SchedulerFactory } from './scheduler.ts';

export const schedulers = {
  fcfs: createFcfsScheduler,
} satisfies Record<string, SchedulerFactory>;

export type SchedulerName = keyof typeof schedulers;

export * from './scheduler.ts';
