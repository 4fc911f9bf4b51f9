// Tokens that travel together: thousands of events a second for one reader cost more than they show. The first token never
// waits, a later one waits no longer than the bound, and nothing is left out.

import { seconds, type Seconds } from '../../core/index.ts';
import type { TokenEvent, TokensEvent } from '../engine-request.ts';

export interface Coalescing {
  /** Longest that a token waits for others. */
  readonly bound: Seconds;
  /** Resolves after a time; passed in, because only the server knows time. */
  readonly wait: (time: Seconds) => Promise<void>;
}

/** The same tokens and text in fewer events; as they are without a bound. */
export function coalesced(
  events: AsyncIterable<TokenEvent>,
  coalescing: Coalescing | undefined,
): AsyncIterable<TokenEvent> {
  return coalescing === undefined || coalescing.bound <= 0 ? events : join(events, coalescing);
}

async function* join(events: AsyncIterable<TokenEvent>, { bound, wait }: Coalescing): AsyncIterable<TokenEvent> {
  const iterator = events[Symbol.asyncIterator]();
  const isFirst = new Set<number>();
  /** Held tokens by choice, in the order in which their first came. */
  const held = new Map<number, { text: string; tokens: TokensEvent['tokens'][number][] }>();
  let next: Promise<IteratorResult<TokenEvent>> | undefined;
  let timer: Promise<'due'> | undefined;
  let isDone = false;

  const flush = (choice?: number): TokenEvent[] => {
    const choices = choice === undefined ? [...held.keys()] : held.has(choice) ? [choice] : [];
    return choices.map((each) => {
      const { text, tokens } = held.get(each) as { text: string; tokens: TokensEvent['tokens'][number][] };
      held.delete(each);
      return { kind: 'tokens', choice: each, text, tokens };
    });
  };

  try {
    for (;;) {
      next ??= iterator.next();
      const come = timer === undefined ? await next : await Promise.race([next, timer]);
      if (come === 'due') {
        timer = undefined;
        yield* flush();
        continue;
      }
      next = undefined;
      if (come.done === true) break;
      const event = come.value;
      if (event.kind === 'finish') {
        yield* flush(event.choice);
        yield event;
        continue;
      }
      if (!isFirst.has(event.choice)) {
        isFirst.add(event.choice);
        yield event;
        continue;
      }
      const before = held.get(event.choice);
      if (before === undefined) held.set(event.choice, { text: event.text, tokens: [...event.tokens] });
      else {
        before.text += event.text;
        before.tokens.push(...event.tokens);
      }
      timer ??= wait(seconds(bound)).then(() => 'due' as const);
    }
    isDone = true;
    yield* flush();
  } finally {
    if (!isDone) await iterator.return?.();
  }
}
