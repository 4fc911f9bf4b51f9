import { createMemoryRecords } from './records.ts';
import { recordsLaws } from './records.laws.ts';

recordsLaws('memory', () => Promise.resolve(createMemoryRecords()));
