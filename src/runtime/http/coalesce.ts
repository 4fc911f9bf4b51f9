// Tokens that travel together: thousands of events a second for one reader cost more than they show. The first token never
// waits, a later one waits no longer than the bound, and nothing is left out.

import type { Seconds } from '../../core/index.ts';
import type { EventStream } from '../engine-channel.ts';
import type { TokenEvent, TokenReport } from '../engine-request.ts';

export interface Coalescing {
  /** Longest that a token waits for others. */
  readonly bound: Seconds;
  /** Resolves after a time; passed in, because only the server knows time. */
  readonly wait: (time: Seconds) => Promise<void>;
}

/** What came since the last call, at least one event; undefined at the end. Rejects with the reason of an early end. */
export type TakeEvents = () => Promise<readonly TokenEvent[] | undefined>;

/** All events as they are without a bound; with one the same tokens and text in fewer. */
export function takeFrom(events: EventStream<TokenEvent>, coalescing: Coalescing | undefined): TakeEvents {
  if (coalescing === undefined || coalescing.bound <= 0) {
    return async () => {
      await events.ready();
      return events.take();
    };
  }
  const { bound, wait } = coalescing;
  /** Choices of which a token has been taken. */
  const begun: (true | undefined)[] = [];
  const isUrgent = ({ kind, choice }: TokenEvent): boolean => kind !== 'tokens' || begun[choice] === undefined;
  return async () => {
    await events.ready();
    const urgent = events.ready(isUrgent);
    // What waits is left in the stream, so that it is there before the reason of an early end.
    if (urgent !== undefined) await Promise.race([urgent, wait(bound)]);
    const taken = events.take();
    return taken && joined(taken, begun);
  };
}

/** Tokens of one choice in one event, up to its end; its very first stays alone. */
function joined(events: readonly TokenEvent[], begun: (true | undefined)[]): TokenEvent[] {
  const result: TokenEvent[] = [];
  const open = new Map<number, { text: string; readonly tokens: TokenReport[] }>();
  for (const event of events) {
    const { choice } = event;
    const before = open.get(choice);
    if (event.kind !== 'tokens' || begun[choice] === undefined) {
      if (event.kind === 'tokens') begun[choice] = true;
      result.push(event);
    } else if (before === undefined) {
      const { kind, text, tokens } = event;
      const first = { kind, choice, text, tokens: [...tokens] };
      open.set(choice, first);
      result.push(first);
    } else {
      before.text += event.text;
      before.tokens.push(...event.tokens);
    }
  }
  return result;
}
