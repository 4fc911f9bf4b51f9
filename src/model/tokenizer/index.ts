export type { ChatMessage, RenderOptions } from './chat-template.ts';
export { BYTE_CHARACTERS } from './token-bytes.ts';
export * from './tokenizer.ts';
export { createWordTokenizer } from './words.ts';
