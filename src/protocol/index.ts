export * from './timeline.ts';
export * from './openai/error.ts';
export { shownName } from './openai/body.ts';
export * from './openai/chat.ts';
export * from './openai/completions.ts';
export * from './openai/models.ts';
export * from './openai/usage.ts';
export * from './openai/stream.ts';
