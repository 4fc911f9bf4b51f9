// First come, first served.

import type { PolicyFactory } from './scheduler.ts';

export const fcfs: PolicyFactory = () => ({ rank: () => 0 });
