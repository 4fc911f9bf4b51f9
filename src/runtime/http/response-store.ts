// Responses that are kept for a while, so that a client can go on with one by its id, as OpenAI's newer API lets it. They are
// in memory and belong to whoever asked. Room for newer ones is made by whoever holds most, so that no tenant pushes out what others have.

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
  readonly characters: number;
}

/** What one owner has. */
interface Shelf {
  /** The least recently used first. */
  readonly entries: Map<string, Entry>;
  /** Responses by the ids of their items, the newest last. */
  readonly holders: Map<string, Entry[]>;
  characters: number;
}

/**
 * @param most characters of JSON in all. What a conversation shares with its earlier responses counts in each, so that no
 *   chain of them holds more than is counted.
 */
export function createResponseStore(most: number): ResponseStore {
  /** Of those who have something. */
  const shelves = new Map<string | undefined, Shelf>();
  let characters = 0;

  const shelfOf = (owner: string | undefined): Shelf => {
    let shelf = shelves.get(owner);
    if (shelf === undefined) shelves.set(owner, (shelf = { entries: new Map(), holders: new Map(), characters: 0 }));
    return shelf;
  };
  const idsOf = ({ items }: Entry): readonly string[] =>
    items.flatMap(({ id }) => (typeof id === 'string' ? [id] : []));

  const find = (owner: string | undefined, id: string): Entry | undefined => {
    const entries = shelves.get(owner)?.entries;
    const entry = entries?.get(id);
    if (entry === undefined) return undefined;
    entries?.delete(id);
    entries?.set(id, entry);
    return entry;
  };
  const forget = (owner: string | undefined, entry: Entry): void => {
    const shelf = shelfOf(owner);
    shelf.entries.delete(entry.id);
    shelf.characters -= entry.characters;
    characters -= entry.characters;
    for (const id of idsOf(entry)) {
      const holding = shelf.holders.get(id) ?? [];
      // The oldest go first, so it mostly stands at the front.
      holding.splice(holding.indexOf(entry), 1);
      if (holding.length === 0) shelf.holders.delete(id);
    }
    if (shelf.entries.size === 0) shelves.delete(owner);
  };
  const isOverfull = (): boolean => characters > most;
  const makeRoom = (): void => {
    let [largest] = shelves;
    for (const shelf of shelves) if (shelf[1].characters > largest[1].characters) largest = shelf;
    const [owner, { entries }] = largest;
    const [oldest] = entries.values();
    forget(owner, oldest);
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
      const entry = { ...response, characters: size };
      const shelf = shelfOf(owner);
      shelf.entries.set(entry.id, entry);
      for (const id of idsOf(entry)) {
        const holding = shelf.holders.get(id);
        if (holding === undefined) shelf.holders.set(id, [entry]);
        else holding.push(entry);
      }
      shelf.characters += size;
      characters += size;
      while (isOverfull()) makeRoom();
    },
    pastOf: (owner) => ({
      conversation: (id) => find(owner, id)?.items,
      item: (id) =>
        shelves
          .get(owner)
          ?.holders.get(id)
          ?.at(-1)
          ?.items.find((item) => item['id'] === id),
    }),
    get: demand,
    drop: (owner, id) => forget(owner, demand(owner, id)),
  };
}
