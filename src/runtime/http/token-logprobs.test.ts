import { describe, expect, it } from 'vitest';

import { seconds } from '../../core/index.ts';
import { call, createTestApi, TEST_MODEL } from '../testing/test-api.ts';

/** Four tokens, of which the first three are the bytes of one character. */
const ANSWER = [...new TextEncoder().encode('€a')];

/** Log probabilities of an API whose answers are these tokens, read from a body or from all chunks of a stream. */
async function logprobsOf<T>(path: string, body: object, read: (said: never) => readonly T[], isCoalesced = false) {
  const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
  const { api, tokenizer } = createTestApi(
    {
      edit(logits, tokens) {
        const next = ids[tokens.filter((token) => ids.includes(token)).length % ids.length];
        logits.fill(-Infinity);
        logits[next] = 0;
      },
    },
    {},
    isCoalesced ? { coalescing: { bound: seconds(0.02), wait } } : {},
  );
  const ids = ANSWER.map((byte) =>
    Array.from({ length: 256 }, (_, id) => id).find((id) => {
      const bytes = tokenizer.tokenBytes(id);
      return bytes.length === 1 && bytes[0] === byte;
    }),
  ).map(Number);
  const { text } = await call(api, path, { model: TEST_MODEL, ...body });
  const documents = text.startsWith('{') ? [text] : text.match(/(?<=^data: )\{.*$/gm);
  return (documents ?? []).flatMap((document) => read(JSON.parse(document) as never));
}

describe('log probabilities of characters in parts', () => {
  it('tell the place where the character begins, whole and streamed', async () => {
    type Chunk = { choices: { logprobs?: { text_offset: number[] } | null }[] };
    const read = ({ choices }: Chunk): number[] => choices.flatMap(({ logprobs }) => logprobs?.text_offset ?? []);
    const body = { prompt: 'x', max_tokens: 8, logprobs: 0 };
    const expected = [0, 0, 0, 1, 2, 2, 2, 3];
    expect(await logprobsOf('/v1/completions', body, read)).toEqual(expected);
    for (const isCoalesced of [false, true])
      expect(await logprobsOf('/v1/completions', { ...body, stream: true }, read, isCoalesced)).toEqual(expected);
  });

  it('are there for every token of a response, whole and streamed', async () => {
    type Entry = { bytes: number[] };
    type Said = { output?: { content: { logprobs: Entry[] }[] }[]; type?: string; logprobs?: Entry[] };
    const read = ({ output = [], type = '', logprobs = [] }: Said): number[] => [
      ...output.flatMap(({ content }) => content).flatMap((part) => part.logprobs.flatMap(({ bytes }) => bytes)),
      ...(type === 'response.output_text.delta' ? logprobs.flatMap(({ bytes }) => bytes) : []),
    ];
    const body = { input: 'x', max_output_tokens: 8, include: ['message.output_text.logprobs'] };
    const expected = [...ANSWER, ...ANSWER];
    expect(await logprobsOf('/v1/responses', body, read)).toEqual(expected);
    for (const isCoalesced of [false, true])
      expect(await logprobsOf('/v1/responses', { ...body, stream: true }, read, isCoalesced)).toEqual(expected);
  });
});
