// Where a server's records go: a log, and traces.

import { jsonLine, logEntryOf, logLevels, textLine, type LogLevel, type RequestRecord } from '../../runtime/index.ts';
import { openTraces, type TraceOptions } from './traces.ts';

export const logFormats = ['json', 'text', 'none'] as const;
export type LogFormat = (typeof logFormats)[number];

export interface ReportOptions {
  readonly log: LogFormat;
  /** This and what is worse. */
  readonly level: LogLevel;
  readonly write: (line: string) => void;
  /** Absent where nobody collects them. */
  readonly traces?: TraceOptions;
}

export interface Reports {
  readonly onRequest: (record: RequestRecord) => void;
  /** Send what is left. */
  close(): Promise<void>;
}

/** @throws IngotError OTLP_ENDPOINT_INVALID */
export async function openReports({ log, level, write, traces: traced }: ReportOptions): Promise<Reports> {
  const traces = traced === undefined ? undefined : await openTraces(traced);
  const least = logLevels.indexOf(level);
  const line = log === 'json' ? jsonLine : textLine;
  return {
    onRequest(record) {
      traces?.ended(record);
      if (log === 'none') return;
      const entry = logEntryOf(record);
      if (logLevels.indexOf(entry.level) >= least) write(line(entry));
    },
    async close() {
      await traces?.close();
    },
  };
}
