// Long prompts on threads, so that no stream stands still while one is rendered and encoded; short ones where they are, because
// the way to a thread takes longer than they do. Tokens are the same either way.

import { Worker } from 'node:worker_threads';

import { fail, IngotError } from '../../core/index.ts';
import type { Tokenizer } from '../../model/index.ts';
import type { PromptAnswer, PromptOrder, PromptThreadStart } from './prompt-messages.ts';
import { createPromptEncoder, type EncodedPrompt, type PromptEncoder, type PromptSource } from './prompts.ts';

/** About two milliseconds of work on one core of 2024. */
const INLINE_CHARACTERS = 4096;
/** Prompts that wait for a thread; with bodies of 4 MiB, a quarter of a gigabyte. */
const MOST_WAITING = 64;

export interface PromptPoolOptions {
  readonly tokenizer: Tokenizer;
  /** Where threads open the same tokenizer. */
  readonly checkpoint: string;
  /** Default 1; each starts with the first prompt that finds no other free. */
  readonly threads?: number;
  /** Longest prompt that is encoded where it is. */
  readonly inlineCharacters?: number;
  readonly mostWaiting?: number;
}

export interface PromptPool extends PromptEncoder {
  /** Threads that have been started. */
  readonly started: number;
  /** Ends the threads; prompts in progress are refused. */
  close(): Promise<void>;
}

/** One prompt on its way. */
interface Errand {
  readonly order: PromptOrder;
  readonly resolve: (prompt: EncodedPrompt) => void;
  readonly reject: (error: unknown) => void;
}

export function createPromptPool(options: PromptPoolOptions): PromptPool {
  const { tokenizer, checkpoint, threads = 1 } = options;
  const { inlineCharacters = INLINE_CHARACTERS, mostWaiting = MOST_WAITING } = options;
  const inline = createPromptEncoder(tokenizer);
  const waiting: Errand[] = [];
  const free: Worker[] = [];
  const busy = new Map<Worker, Errand>();
  let started = 0;
  let closed = false;

  const start = (): Worker => {
    const worker = new Worker(new URL('./prompt-thread.node.ts', import.meta.url), {
      workerData: { checkpoint } satisfies PromptThreadStart,
    });
    started++;
    worker.on('message', (answer: PromptAnswer) => {
      const errand = busy.get(worker);
      busy.delete(worker);
      free.push(worker);
      // A thread without work does not keep the process alive.
      worker.unref();
      if (answer.kind === 'done') errand?.resolve(answer.prompt);
      else errand?.reject(answer.kind === 'refused' ? new IngotError(answer.diagnostics) : answer.error);
      next();
    });
    worker.on('error', (cause) => {
      busy.get(worker)?.reject(new IngotError(broken, { cause }));
      gone(worker);
    });
    worker.on('exit', () => {
      busy.get(worker)?.reject(new IngotError(closed ? closing : broken));
      gone(worker);
    });
    return worker;
  };

  const gone = (worker: Worker): void => {
    busy.delete(worker);
    const at = free.indexOf(worker);
    if (at >= 0) free.splice(at, 1);
    if (!closed) next();
  };

  const next = (): void => {
    while (waiting.length > 0) {
      const worker = free.pop() ?? (busy.size < threads ? start() : undefined);
      if (worker === undefined) return;
      const errand = waiting.shift() as Errand;
      busy.set(worker, errand);
      worker.ref();
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage(errand.order);
    }
  };

  return {
    get started() {
      return started;
    },
    async encode(source, mostCharacters) {
      if (charactersOf(source) <= inlineCharacters) return inline.encode(source, mostCharacters);
      if (closed) fail(closing);
      if (waiting.length >= mostWaiting) {
        fail({
          code: 'PROMPTS_BUSY',
          message: `${waiting.length} long prompts are waiting to be encoded`,
          expected: `at most ${mostWaiting}`,
          suggestion: 'Try again later.',
        });
      }
      return new Promise((resolve, reject) => {
        waiting.push({ order: { source, mostCharacters }, resolve, reject });
        next();
      });
    },
    async close() {
      closed = true;
      for (const { reject } of waiting.splice(0)) reject(new IngotError(closing));
      await Promise.all([...free, ...busy.keys()].map((worker) => worker.terminate()));
    },
  };
}

const broken = { code: 'PROMPT_THREAD_FAILED', message: 'the thread that encodes prompts failed' };
const closing = { code: 'ENGINE_CLOSED', message: 'the server is closing and takes no more prompts' };

/** What has to be read, whatever the template makes of it. */
function charactersOf(source: PromptSource): number {
  if (source.kind === 'text') return source.text.length;
  const { messages, options } = source;
  const tools = options.tools === undefined ? 0 : JSON.stringify(options.tools).length;
  return messages.reduce(
    (sum, { content, tool_calls }) =>
      sum +
      (typeof content === 'string' ? content.length : 0) +
      (tool_calls === undefined ? 0 : JSON.stringify(tool_calls).length),
    tools,
  );
}
