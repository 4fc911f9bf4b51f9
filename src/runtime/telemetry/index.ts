export type { MeasuredModel } from './engine-series.ts';
export { jsonLine, logEntryOf, logLevels, textLine, type LogEntry, type LogLevel } from './log-line.ts';
export type { HardwareModel, HardwareState, HardwareWork } from './hardware-model.ts';
export { ofModels, type Exposition } from './metrics.ts';
export type { AskedOfModel, OpenRecord, Outcome, RequestRecord, RequestTrack, SentToModel } from './request-record.ts';
export { createTelemetry, type Telemetry } from './telemetry.ts';
export { MAX_SPANS, spansOf, type SpanAttributes, type SpanPlan } from './spans.ts';
