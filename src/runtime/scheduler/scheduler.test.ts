import { schedulers } from './index.ts';
import { schedulerLaws } from './scheduler.laws.ts';

for (const [name, policy] of Object.entries(schedulers)) schedulerLaws(name, policy);
