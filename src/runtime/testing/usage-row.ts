import type { UsageRow } from '../ledger/index.ts';

let nextRow = 0;

/** A row of usage that is like no other by its id. */
export const usageRow = (over: Partial<UsageRow> = {}): UsageRow => ({
  id: `row-${nextRow++}`,
  time: 7200,
  tenant: 'a',
  key: 'ingot-1',
  model: 'm',
  version: 1,
  request: 'req_1',
  outcome: 'complete',
  prompt_tokens: 3,
  cached_tokens: 1,
  completion_tokens: 5,
  // Sums of halves are exact in any order.
  wafer_seconds: 0.5,
  wafer_joules: 2.5,
  ...over,
});
