export { chromeTrace } from './chrome.ts';
export type { TraceTitle } from './chrome.ts';
export { createRecorder, LINK_WINDOW, MAX_TRACE_EVENTS } from './recorder.ts';
export type { LinkSample, Recorder, RecorderOptions, TraceEvent, TraceName } from './recorder.ts';
