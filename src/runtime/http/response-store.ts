// Responses that are kept for a while, so that a client can go on with one by its id, as OpenAI's newer API lets it. They are
// in memory, belong to whoever asked, and make room for newer ones.

import { ApiError, type PastItems } from '../../protocol/index.ts';

export interface KeptResponse {
  readonly id: string;
  /** As it was answered, in JSON. */
  readonly text: string;
  /** The whole conversation up to and with its output, as items. */
  readonly items: readonly Readonly<Record<string, unknown>>[];
}

export interface ResponseStore {
  keep(owner: string | undefined, response: KeptResponse): void;
  /** Only of the owner's own. */
  pastOf(owner: string | undefined): PastItems;
  /** @throws ApiError 404 */
  get(owner: string | undefined, id: string): KeptResponse;
  /** @throws ApiError 404 */
  drop(owner: string | undefined, id: string): void;
}

interface Entry extends KeptResponse {
  readonly owner: string | undefined;
  readonly characters: number;
}

/**
 * @param most characters of JSON in all. What a conversation shares with its earlier responses counts in each, so that no
 *   chain of them holds more than is counted.
 */
export function createResponseStore(most: number): ResponseStore {
  /** The least recently used first. */
  const entries = new Map<string, Entry>();
  /** Responses by the ids of their items, the newest last. */
  const holders = new Map<string, Entry[]>();
  const own = (owner: string | undefined, id: string): string => `${owner ?? ''} ${id}`;
  const keysOf = ({ owner, items }: Entry): readonly string[] =>
    items.flatMap(({ id }) => (typeof id === 'string' ? [own(owner, id)] : []));
  let characters = 0;

  const find = (owner: string | undefined, id: string): Entry | undefined => {
    const entry = entries.get(id);
    if (entry === undefined || entry.owner !== owner) return undefined;
    entries.delete(id);
    entries.set(id, entry);
    return entry;
  };
  const forget = (entry: Entry): void => {
    entries.delete(entry.id);
    characters -= entry.characters;
    for (const key of keysOf(entry)) {
      const holding = holders.get(key) ?? [];
      // The oldest go first, so it mostly stands at the front.
      holding.splice(holding.indexOf(entry), 1);
      if (holding.length === 0) holders.delete(key);
    }
  };
  const demand = (owner: string | undefined, id: string): Entry => {
    const entry = find(owner, id);
    if (entry !== undefined) return entry;
    throw new ApiError({
      status: 404,
      code: 'response_not_found',
      param: 'response_id',
      message: `Response with id '${id.slice(0, 100)}' not found.`,
      suggestion: 'Responses are kept in memory until newer ones need the room.',
    });
  };

  return {
    keep(owner, response) {
      const size = response.text.length + response.items.reduce((sum, item) => sum + JSON.stringify(item).length, 0);
      if (size > most) return;
      const entry = { ...response, owner, characters: size };
      entries.set(entry.id, entry);
      for (const key of keysOf(entry)) {
        const holding = holders.get(key);
        if (holding === undefined) holders.set(key, [entry]);
        else holding.push(entry);
      }
      characters += size;
      for (const oldest of entries.values()) {
        if (characters <= most) break;
        forget(oldest);
      }
    },
    pastOf: (owner) => ({
      conversation: (id) => find(owner, id)?.items,
      item: (id) =>
        holders
          .get(own(owner, id))
          ?.at(-1)
          ?.items.find((item) => item['id'] === id),
    }),
    get: demand,
    drop: (owner, id) => forget(demand(owner, id)),
  };
}
