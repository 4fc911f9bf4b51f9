// One answer, timed twice: measured on this machine, and simulated for the wafer.

import { formatCount, formatSi } from '../../../core/index.ts';
import type { CompletionAnswer } from '../../completion.ts';
import type { Io } from '../io.ts';
import { wrap } from './layout.ts';

/** @param waferName whose simulated times stand in the second column */
export function timingTable({ usage, times }: CompletionAnswer, waferName: string, paint: Io['paint']): string {
  const { simulated_wafer: wafer } = times;
  const span = (value: number | undefined): string => (value === undefined ? '-' : formatSi(value, 's'));
  const rate = (value: number | null | undefined): string =>
    value === null || value === undefined
      ? '-'
      : formatCount(value < 100 ? Number(value.toFixed(1)) : Math.round(value));
  const perSecond = usage.completion_tokens > 1 ? (usage.completion_tokens - 1) / times.completion_time : undefined;
  const rows = [
    ['', 'this machine', waferName],
    ['', 'measured', 'simulated'],
    [
      `first token (prompt of ${usage.prompt_tokens})`,
      span(times.queue_time + times.prompt_time),
      span(wafer === undefined ? undefined : wafer.queue_time + wafer.prompt_time),
    ],
    [`all ${usage.completion_tokens} tokens`, span(times.total_time), span(wafer?.total_time)],
    ['tokens/s after the first', rate(perSecond), rate(wafer?.tokens_per_second)],
  ];
  const lines = rows.map(([name, real, simulated], i) => {
    const line = `${name.padEnd(30)}${real.padStart(14)}${simulated.padStart(14)}`;
    return i < 2 ? paint(i === 0 ? 'bold' : 'dim', line) : line;
  });
  const basis = wafer === undefined ? [] : [paint('dim', wrap(wafer.basis, ''))];
  return `${[...lines, ...basis].join('\n')}\n`;
}
