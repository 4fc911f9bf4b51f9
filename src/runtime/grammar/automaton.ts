// The network run byte by byte, on all its readings at once. A state holds for each position in the network the stacks with
// which it can be there; sets of stacks are shared, so that ambiguous grammars cost no more than their size. States are made as
// texts need them and kept, so that the same place is found again with its transitions and its mask.

import { compileNetwork, type Network } from './network.ts';
import type { Expression } from './expression.ts';

/** A set of stacks: for each state to return to, the stacks below it. Equal sets are one object. */
interface Stacks {
  readonly id: number;
  /** Rising states to return to; BOTTOM where the root itself ends. */
  readonly returns: readonly number[];
  readonly below: readonly Stacks[];
  /** Fewest bytes from here to the end of the text. */
  readonly distance: number;
}

/** One place in all texts of a grammar. */
export interface GrammarState {
  /** The text may end here. */
  readonly accepting: boolean;
  /** Fewest bytes that end the text. */
  readonly distance: number;
  /** Some byte may follow. */
  readonly continues: boolean;
  /** Tokens that may follow, one bit each; made by whoever knows the vocabulary. */
  mask: Uint32Array | undefined;
  /** By byte: undefined where not yet known, null where it may not follow. */
  next: (GrammarState | null | undefined)[] | undefined;
  readonly positions: readonly number[];
  readonly stacks: readonly Stacks[];
}

export interface Grammar {
  readonly start: GrammarState;
  /** The state after a byte; null where it may not follow. */
  step(state: GrammarState, byte: number): GrammarState | null;
  /** The only byte that may follow, where there is but one and the text may not end. */
  onlyByte(state: GrammarState): number | undefined;
}

/** States kept at once; beyond it all are forgotten but those in use, and made again where they are needed. */
const MAX_KEPT_STATES = 4_000;

const BOTTOM = -1;
/** Numbers that state an edge. */
const EDGE_LENGTH = 3;

/** @throws IngotError of compileNetwork */
export function compileGrammar(root: Expression): Grammar {
  return createGrammar(compileNetwork(root));
}

function createGrammar({ states, start }: Network): Grammar {
  let nextId = 0;
  let known = new Map<string, GrammarState>();
  let interned = new Map<string, Stacks>();
  let unions = new Map<string, Stacks>();

  const intern = (returns: readonly number[], below: readonly Stacks[]): Stacks => {
    const key = returns.map((to, i) => `${to}:${below[i].id}`).join();
    let stacks = interned.get(key);
    if (stacks === undefined) {
      const distance = Math.min(
        ...returns.map((to, i) => (to === BOTTOM ? 0 : states[to].distance + below[i].distance)),
      );
      stacks = { id: nextId++, returns, below, distance };
      interned.set(key, stacks);
    }
    return stacks;
  };
  const nowhere: Stacks = { id: nextId++, returns: [], below: [], distance: 0 };
  const bottom = intern([BOTTOM], [nowhere]);

  const union = (a: Stacks, b: Stacks): Stacks => {
    if (a === b) return a;
    const [first, second] = a.id < b.id ? [a, b] : [b, a];
    const key = `${first.id} ${second.id}`;
    let result = unions.get(key);
    if (result === undefined) {
      const merged = new Map(first.returns.map((to, i) => [to, first.below[i]]));
      second.returns.forEach((to, i) => {
        const other = merged.get(to);
        merged.set(to, other === undefined ? second.below[i] : union(other, second.below[i]));
      });
      const returns = [...merged.keys()].sort((x, y) => x - y);
      result = intern(
        returns,
        returns.map((to) => merged.get(to) as Stacks),
      );
      unions.set(key, result);
    }
    return result;
  };

  /** The state that holds these places and all that is reached from them without a byte. */
  const close = (places: Iterable<readonly [number, Stacks]>): GrammarState | null => {
    const reached = new Map<number, Stacks>();
    const work: number[] = [];
    let accepting = false;
    const reach = (position: number, stacks: Stacks): void => {
      const before = reached.get(position);
      const after = before === undefined ? stacks : union(before, stacks);
      if (after === before) return;
      reached.set(position, after);
      work.push(position);
    };
    for (const [position, stacks] of places) reach(position, stacks);
    for (let position = work.pop(); position !== undefined; position = work.pop()) {
      const { jumps, calls, ends } = states[position];
      const stacks = reached.get(position) as Stacks;
      for (const to of jumps) reach(to, stacks);
      for (let c = 0; c < calls.length; c += 2) reach(calls[c], intern([calls[c + 1]], [stacks]));
      if (!ends) continue;
      stacks.returns.forEach((to, i) => {
        if (to === BOTTOM) accepting = true;
        else reach(to, stacks.below[i]);
      });
    }
    const positions = [...reached.keys()].filter((p) => states[p].edges.length > 0).sort((a, b) => a - b);
    if (positions.length === 0 && !accepting) return null;
    const kept = positions.map((p) => reached.get(p) as Stacks);
    const key = `${accepting ? 'a' : ''}${positions.map((p, i) => `${p}:${kept[i].id}`).join()}`;
    let state = known.get(key);
    if (state === undefined) {
      if (known.size >= MAX_KEPT_STATES) forget();
      const ways = positions.map((p, i) => states[p].distance + kept[i].distance);
      state = {
        accepting,
        distance: accepting ? 0 : Math.min(...ways),
        continues: positions.length > 0,
        mask: undefined,
        next: undefined,
        positions,
        stacks: kept,
      };
      known.set(key, state);
    }
    return state;
  };

  const forget = (): void => {
    for (const state of known.values()) {
      state.next = undefined;
      state.mask = undefined;
    }
    known = new Map();
    // Ids go on, so a set of stacks that somebody still holds is never taken for another.
    interned = new Map();
    unions = new Map();
  };

  const move = (state: GrammarState, byte: number): GrammarState | null => {
    const places: (readonly [number, Stacks])[] = [];
    state.positions.forEach((position, i) => {
      const { edges } = states[position];
      for (let e = 0; e < edges.length; e += 3) {
        if (edges[e] <= byte && byte <= edges[e + 1]) places.push([edges[e + 2], state.stacks[i]]);
      }
    });
    return places.length === 0 ? null : close(places);
  };

  return {
    start: close([[start, bottom]]) as GrammarState,
    step(state, byte) {
      const row = (state.next ??= Array.from({ length: 256 }, () => undefined));
      let next = row[byte];
      if (next === undefined) row[byte] = next = move(state, byte);
      return next;
    },
    onlyByte({ accepting, positions }) {
      const edges = positions.length === 1 && !accepting ? states[positions[0]].edges : [];
      return edges.length === EDGE_LENGTH && edges[0] === edges[1] ? edges[0] : undefined;
    },
  };
}
