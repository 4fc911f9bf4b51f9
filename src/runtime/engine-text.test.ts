import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TokenDecoder } from '../model/index.ts';
import { createTextGate } from './engine-text.ts';

/** Token i is pieces[i]. */
const decoderOf = (pieces: readonly string[]): TokenDecoder => ({ push: (token) => pieces[token], flush: () => '' });

const words = fc.array(fc.stringMatching(/^[ab]{0,3}$/), { maxLength: 12 });
const stopLists = fc.array(fc.stringMatching(/^[ab]{1,4}$/), { maxLength: 3 });

describe('text gate', () => {
  it('shows exactly the text before the first stop string, however tokens cut it', () => {
    fc.assert(
      fc.property(words, stopLists, (pieces, stops) => {
        let text = '';
        let stopped = false;
        const tokens: number[] = [];
        const gate = createTextGate<number>(decoderOf(pieces), stops, (more, of) => {
          text += more;
          tokens.push(...of);
        });
        for (const i of pieces.keys()) {
          stopped = gate.push(i, i);
          const sofar = pieces.slice(0, i + 1).join('');
          if (stopped) break;
          // Everything that is certain, and nothing more.
          let uncertain = 0;
          for (const stop of stops) {
            for (let n = 1; n < stop.length; n++)
              if (sofar.endsWith(stop.slice(0, n))) uncertain = Math.max(uncertain, n);
          }
          expect(text).toBe(sofar.slice(0, sofar.length - uncertain));
        }
        if (!stopped) stopped = gate.flush();

        const whole = pieces.join('');
        const [first] = stops
          .map((stop) => ({ from: whole.indexOf(stop), to: whole.indexOf(stop) + stop.length }))
          .filter(({ from }) => from >= 0)
          .sort((x, y) => x.to - y.to || x.from - y.from);
        expect(stopped).toBe(first !== undefined);
        expect(text).toBe(whole.slice(0, first?.from));
        // Tokens come in order, and those shown hold the text.
        expect(tokens).toEqual(tokens.map((_, i) => i));
        const covered = tokens.map((i) => pieces[i]).join('');
        expect(covered.startsWith(text)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  /** What a gate let through, and whether it was stopped. */
  const throughGate = (decoder: TokenDecoder, stops: readonly string[]) => {
    let shown: readonly unknown[] = [];
    const gate = createTextGate<string>(decoder, stops, (text, tokens) => (shown = [text, tokens]));
    return {
      push: (token: number) => [gate.push(token, `t${token}`), ...shown],
      flush: () => [gate.flush(), ...shown],
    };
  };

  it('keeps the tokens of held-back text until it is shown, and drops those of a stop string', () => {
    const gate = throughGate(decoderOf(['x', 'E', 'N', 'y', 'END']), ['END']);
    expect(gate.push(0)).toEqual([false, 'x', ['t0']]);
    expect(gate.push(1)).toEqual([false, '', []]);
    expect(gate.push(2)).toEqual([false, '', []]);
    expect(gate.push(3)).toEqual([false, 'ENy', ['t1', 't2', 't3']]);
    expect(gate.push(4)).toEqual([true, '', []]);
  });

  it('passes what the decoder held when it ends', () => {
    const gate = throughGate({ push: () => '', flush: () => '�' }, ['stop']);
    expect(gate.push(0)).toEqual([false, '', ['t0']]);
    expect(gate.flush()).toEqual([false, '�', []]);
  });

  it('lets tokens through without a decoder', () => {
    const shown: unknown[] = [];
    const gate = createTextGate<string>(undefined, [], (text, tokens) => shown.push([text, tokens]));
    expect([gate.push(5, 't5'), gate.flush()]).toEqual([false, false]);
    expect(shown).toEqual([
      ['', ['t5']],
      ['', []],
    ]);
  });
});
