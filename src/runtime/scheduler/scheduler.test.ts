import { schedulers } from './index.ts';
import { schedulerLaws } from './scheduler.laws.ts';

for (const [name, create] of Object.entries(schedulers)) schedulerLaws(name, create);
