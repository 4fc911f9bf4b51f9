// A thread that renders and encodes one prompt after another, with a tokenizer of its own.

import { parentPort, workerData } from 'node:worker_threads';

import { IngotError } from '../../core/index.ts';
import { openCheckpoint } from '../../model/index.node.ts';
import type { PromptAnswer, PromptOrder, PromptThreadStart } from './prompt-messages.ts';
import { encodePrompt } from './prompts.ts';

const checkpoint = openCheckpoint((workerData as PromptThreadStart).checkpoint);
checkpoint.close();

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
const say = (answer: PromptAnswer, moved: ArrayBuffer[] = []): void => parentPort?.postMessage(answer, moved);

parentPort?.on('message', ({ source, mostCharacters }: PromptOrder) => {
  try {
    const { tokens: list, end } = encodePrompt(checkpoint.tokenizer, source, mostCharacters);
    const tokens = Int32Array.from(list);
    // Moved, not copied: a long prompt has a million of them.
    say({ kind: 'done', prompt: { tokens, end } }, [tokens.buffer]);
  } catch (error) {
    if (error instanceof IngotError) say({ kind: 'refused', diagnostics: error.diagnostics });
    else say({ kind: 'broken', error });
  }
});
