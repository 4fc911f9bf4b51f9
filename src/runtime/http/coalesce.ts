// Tokens that travel together: thousands of events a second for one reader cost more than they show. The first token never
// waits, a later one of a stream waits no longer than the bound, and nothing is left out. Tokens are joined as they come, since as many
// objects as tokens, each alive for as long as the bound, would be most of what the garbage collector has to copy.

import type { Seconds } from '../../core/index.ts';
import type { Held } from '../engine-channel.ts';
import type { TokenEvent, TokenReport } from '../engine-request.ts';
import { mayTurn } from './reasoning.ts';

export interface Coalescing {
  /** Longest that a token waits for others. */
  readonly bound: Seconds;
  /** Resolves after a time; passed in, because only the server knows time. */
  readonly wait: (time: Seconds) => Promise<void>;
}

/** Tokens of one choice that came since the last taking. */
interface Joined {
  readonly kind: 'tokens';
  readonly choice: number;
  text: string;
  readonly tokens: TokenReport[];
}

/**
 * The same tokens and text in fewer events; all but tokens is due at once, and so is the first of each choice.
 * @param coalescing how long the other tokens wait; for what is due where it is absent
 */
export function createJoiner(coalescing?: Coalescing): Held<TokenEvent> {
  let events: TokenEvent[] = [];
  /** By choice. */
  let open: (Joined | undefined)[] = [];
  /** Choices that have had a token. */
  const begun: (true | undefined)[] = [];
  let isWaiting = false;

  return {
    add(event, due) {
      const { kind, choice } = event;
      if (kind !== 'tokens' || begun[choice] === undefined) {
        if (kind === 'tokens') begun[choice] = true;
        events.push(event);
        due();
        return;
      }
      const joined = open[choice];
      if (mayTurn(event.text)) {
        // Alone, so that each of its tokens belongs to thoughts or to the rest as it would if it travelled at once.
        events.push(event);
        open[choice] = undefined;
      } else if (joined === undefined) {
        const first = { kind, choice, text: event.text, tokens: [...event.tokens] };
        open[choice] = first;
        events.push(first);
      } else {
        joined.text += event.text;
        for (const report of event.tokens) joined.tokens.push(report);
      }
      if (isWaiting || coalescing === undefined) return;
      isWaiting = true;
      // What was taken before leaves the wait to what comes after, which then waits less.
      void coalescing.wait(coalescing.bound).then(() => {
        isWaiting = false;
        if (events.length > 0) due();
      });
    },
    take() {
      if (events.length === 0) return undefined;
      const taken = events;
      events = [];
      open = [];
      return taken;
    },
  };
}
