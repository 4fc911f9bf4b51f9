// Regular expressions of schemas (the part of ECMA-262 that is regular) as graphs over characters, searched for anywhere in a
// string as `pattern` asks, with the string's length counted along where it is bounded.

import { EMPTY, type Expression, type Graph } from './expression.ts';
import { LAST_CODE, type CodeRange, type JsonText } from './json-text.ts';
import { MAX_STATES } from './network.ts';

/** What a pattern has that is not supported, in the words of an error. */
export class PatternRefused extends Error {}

/** Most repetitions that are written out. */
const MAX_REPEAT = 1000;
/** Most that the patterns of one request may take, in looks at a range of characters: a third of a second. */
const MOST_LOOKS = 4_000_000;
/** What a place of an automaton takes, in looks: enough for two automata as large as a grammar may be. */
const PLACE_LOOKS = 40;
/** Deepest nesting of groups. */
const MAX_GROUPS = 50;

type Part =
  | { readonly kind: 'set'; readonly ranges: readonly CodeRange[] }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Part[] }
  | { readonly kind: 'repeat'; readonly part: Part; readonly min: number; readonly max: number };

/** What the patterns of a request may still take: whoever sends it would hold up all others. */
export interface PatternWork {
  left: number;
}

export const createPatternWork = (): PatternWork => ({ left: MOST_LOOKS });

function take(work: PatternWork, looks: number): void {
  work.left -= looks;
  if (work.left < 0) throw new PatternRefused('more work than a request may make');
}

export interface LengthBounds {
  readonly min: number;
  readonly max: number;
}

/**
 * Contents of strings, quotes left out, that match every one of the patterns and have a length in code points within the bounds.
 * @throws PatternRefused, IngotError GRAMMAR_TOO_LARGE from compileNetwork
 */
export function patternExpression(
  sources: readonly string[],
  length: LengthBounds,
  json: JsonText,
  work: PatternWork,
): Expression {
  const [first, ...others] = sources.map((source) => nfaOf(source, work));
  const all = others.reduce((some, other) => inBoth(some, other, work), first);
  return { kind: 'graph', graph: counted(all, length, json, work) };
}

/** Entered at node 0. */
interface Nfa {
  readonly nodes: readonly NfaNode[];
  readonly end: number;
}

function nfaOf(source: string, work: PatternWork): Nfa {
  const nfa: NfaNode[] = [];
  const add = (): number => {
    take(work, PLACE_LOOKS);
    return nfa.push({ jumps: [], sets: [] }) - 1;
  };
  const start = add();
  const end = add();
  for (const { part, fromStart, toEnd } of parsePattern(source)) {
    const first = add();
    const last = add();
    nfa[start].jumps.push(first);
    nfa[last].jumps.push(end);
    if (!fromStart) nfa[first].sets.push({ ranges: ANYTHING, to: first });
    if (!toEnd) nfa[last].sets.push({ ranges: ANYTHING, to: last });
    build(part, first, last, nfa, add);
  }
  return { nodes: nfa, end };
}

interface NfaNode {
  readonly jumps: number[];
  readonly sets: { readonly ranges: readonly CodeRange[]; readonly to: number }[];
}

function build(part: Part, from: number, to: number, nfa: NfaNode[], add: () => number): void {
  if (nfa.length > MAX_STATES) throw new PatternRefused('more repetitions than can be written out');
  switch (part.kind) {
    case 'set':
      nfa[from].sets.push({ ranges: part.ranges, to });
      return;
    case 'choice':
      for (const each of part.parts) {
        const entry = add();
        nfa[from].jumps.push(entry);
        build(each, entry, to, nfa, add);
      }
      return;
    case 'sequence': {
      let at = from;
      for (const each of part.parts) {
        const next = add();
        build(each, at, next, nfa, add);
        at = next;
      }
      nfa[at].jumps.push(to);
      return;
    }
    case 'repeat': {
      let at = from;
      for (let i = 0; i < part.min; i++) {
        const next = add();
        build(part.part, at, next, nfa, add);
        at = next;
      }
      const times = part.max === Infinity ? 1 : part.max - part.min;
      for (let i = 0; i < times; i++) {
        const entry = add();
        const next = add();
        nfa[at].jumps.push(entry, to);
        build(part.part, entry, next, nfa, add);
        if (part.max === Infinity) nfa[next].jumps.push(entry);
        at = next;
      }
      nfa[at].jumps.push(to);
      return;
    }
  }
}

/**
 * What both take. Each place is the set of places that either can be in (Rabin and Scott's construction), so that two long
 * patterns make little more than the longer one, and not their product.
 */
function inBoth(a: Nfa, b: Nfa, work: PatternWork): Nfa {
  const nodes: NfaNode[] = [];
  const ends: number[] = [];
  const places: (readonly [readonly number[], readonly number[]])[] = [];
  const numbers = new Map<string, number>();
  const numberOf = (inA: readonly number[], inB: readonly number[]): number => {
    const key = `${inA.join()} ${inB.join()}`;
    let number = numbers.get(key);
    if (number === undefined) {
      if (nodes.length >= MAX_STATES) throw new PatternRefused('too much that must hold at once');
      number = nodes.push({ jumps: [], sets: [] }) - 1;
      places.push([inA, inB]);
      numbers.set(key, number);
    }
    return number;
  };
  numberOf(closure(a, [0]), closure(b, [0]));
  for (let i = 0; i < places.length; i++) {
    const [inA, inB] = places[i];
    if (inA.includes(a.end) && inB.includes(b.end)) ends.push(i);
    const edges = [...inA.flatMap((at) => a.nodes[at].sets), ...inB.flatMap((at) => b.nodes[at].sets)];
    const cuts = new Set(edges.flatMap(({ ranges }) => ranges.flatMap(([low, high]) => [low, high + 1])));
    const starts = [...cuts].sort((x, y) => x - y);
    const atOnce = edges.reduce((sum, { ranges }) => sum + ranges.length, inA.length + inB.length);
    take(work, PLACE_LOOKS + starts.length * atOnce);
    const targets = new Map<number, CodeRange[]>();
    starts.slice(0, -1).forEach((low, k) => {
      const toA = closure(a, reached(a, inA, low));
      const toB = closure(b, reached(b, inB, low));
      if (toA.length === 0 || toB.length === 0) return;
      const to = numberOf(toA, toB);
      const ranges = targets.get(to) ?? [];
      ranges.push([low, starts[k + 1] - 1]);
      targets.set(to, ranges);
    });
    for (const [to, ranges] of targets) nodes[i].sets.push({ ranges, to });
  }
  const end = nodes.push({ jumps: [], sets: [] }) - 1;
  for (const at of ends) nodes[at].jumps.push(end);
  return { nodes, end };
}

const reached = ({ nodes }: Nfa, places: readonly number[], code: number): number[] =>
  places.flatMap((at) =>
    nodes[at].sets
      .filter(({ ranges }) => ranges.some(([low, high]) => low <= code && code <= high))
      .map(({ to }) => to),
  );

/** All places that are reached without a character, rising. */
function closure({ nodes }: Nfa, places: readonly number[]): number[] {
  const all = new Set(places);
  for (const at of all) for (const to of nodes[at].jumps) all.add(to);
  return [...all].sort((x, y) => x - y);
}

/** The same automaton with the number of characters so far, as far as it matters. */
function counted({ nodes: nfa, end }: Nfa, { min, max }: LengthBounds, json: JsonText, work: PatternWork): Graph {
  /** Beyond the lower bound the number does not matter where there is no upper one. */
  const most = max === Infinity ? min : max;
  const places: { readonly at: number; readonly count: number }[] = [];
  const numbers = new Map<number, number>();
  const numberOf = (at: number, count: number): number => {
    const key = at * (most + 1) + count;
    let number = numbers.get(key);
    if (number === undefined) {
      if (places.length >= MAX_STATES) throw new PatternRefused('lengths too large to be counted along with it');
      take(work, PLACE_LOOKS);
      number = places.push({ at, count }) - 1;
      numbers.set(key, number);
    }
    return number;
  };
  const nodes: { edges: { part: Expression; to: number }[]; isEnd: boolean }[] = [];
  const setsOf = nfa.map(({ sets }) => sets.map(({ ranges, to }) => ({ part: json.character(ranges), to })));
  numberOf(0, 0);
  for (let i = 0; i < places.length; i++) {
    const { at, count } = places[i];
    const { jumps } = nfa[at];
    const edges: { part: Expression; to: number }[] = jumps.map((to) => ({ part: EMPTY, to: numberOf(to, count) }));
    if (count < most || max === Infinity) {
      for (const { part, to } of setsOf[at]) edges.push({ part, to: numberOf(to, Math.min(count + 1, most)) });
    }
    nodes.push({ edges, isEnd: at === end && count >= min });
  }
  return { nodes };
}

const ANYTHING: readonly CodeRange[] = [[0, LAST_CODE]];
const DIGITS: readonly CodeRange[] = [[0x30, 0x39]];
const WORD: readonly CodeRange[] = [[0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]]; // prettier-ignore
/** White space and line ends of ECMA-262. */
const SPACE: readonly CodeRange[] = [
  [0x09, 0x0d], [0x20, 0x20], [0xa0, 0xa0], [0x1680, 0x1680], [0x2000, 0x200a],
  [0x2028, 0x2029], [0x202f, 0x202f], [0x205f, 0x205f], [0x3000, 0x3000], [0xfeff, 0xfeff],
]; // prettier-ignore
const LINE_ENDS: readonly CodeRange[] = [[0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]]; // prettier-ignore

function complement(ranges: readonly CodeRange[]): CodeRange[] {
  const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
  const result: CodeRange[] = [];
  let from = 0;
  for (const [low, high] of sorted) {
    if (low > from) result.push([from, low - 1]);
    from = Math.max(from, high + 1);
  }
  if (from <= LAST_CODE) result.push([from, LAST_CODE]);
  return result;
}

const CLASSES: Readonly<Record<string, readonly CodeRange[]>> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORD,
  W: complement(WORD),
  s: SPACE,
  S: complement(SPACE),
};
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 };

interface Alternative {
  readonly part: Part;
  readonly fromStart: boolean;
  readonly toEnd: boolean;
}

/** @throws PatternRefused */
function parsePattern(source: string): Alternative[] {
  if (!isRegularExpression(source)) throw new PatternRefused('a text that is not a regular expression');
  const characters = [...source];
  let at = 0;
  let groups = 0;
  const peek = (): string | undefined => characters[at];
  const take = (text: string): boolean => {
    if (characters.slice(at, at + text.length).join('') !== text) return false;
    at += text.length;
    return true;
  };

  const alternatives = (): Alternative[] => {
    const list = [alternative()];
    while (take('|')) list.push(alternative());
    return list;
  };
  const alternative = (): Alternative => {
    const parts: Part[] = [];
    const fromStart = take('^');
    let toEnd = false;
    for (let next = peek(); next !== undefined && next !== '|' && next !== ')'; next = peek()) {
      if (toEnd) throw new PatternRefused('$ before the end');
      if (take('$')) toEnd = true;
      else parts.push(quantified());
    }
    return { part: { kind: 'sequence', parts }, fromStart, toEnd };
  };
  const quantified = (): Part => {
    const part = atom();
    const [min, max] = quantifier();
    take('?'); // A lazy one has the same texts.
    if (min === 1 && max === 1) return part;
    if (min > MAX_REPEAT || (max !== Infinity && max > MAX_REPEAT)) {
      throw new PatternRefused(`more than ${MAX_REPEAT} repetitions`);
    }
    return { kind: 'repeat', part, min, max };
  };
  const quantifier = (): [number, number] => {
    if (take('*')) return [0, Infinity];
    if (take('+')) return [1, Infinity];
    if (take('?')) return [0, 1];
    const bounds = peek() === '{' ? /^\{(\d+)(,?)(\d*)\}/.exec(characters.slice(at, at + 40).join('')) : null;
    if (bounds === null) return [1, 1];
    at += bounds[0].length;
    const min = Number(bounds[1]);
    return [min, bounds[2] === '' ? min : bounds[3] === '' ? Infinity : Number(bounds[3])];
  };
  const atom = (): Part => {
    if (take('(')) return group();
    if (take('[')) return { kind: 'set', ranges: characterClass() };
    if (take('.')) return { kind: 'set', ranges: complement(LINE_ENDS) };
    if (take('\\')) return { kind: 'set', ranges: escape() };
    const character = characters[at++];
    if (character === '^') throw new PatternRefused('^ after the beginning');
    return { kind: 'set', ranges: [single(character)] };
  };
  const group = (): Part => {
    if (++groups > MAX_GROUPS) throw new PatternRefused(`more than ${MAX_GROUPS} groups`);
    if (take('?:')) {
      // Nothing is captured, nothing changes.
    } else if (take('?<')) {
      if (peek() === '=' || peek() === '!') throw new PatternRefused('looking behind');
      while (!take('>')) at++;
    } else if (take('?')) throw new PatternRefused('looking ahead, or flags within');
    const list = alternatives();
    take(')');
    if (list.some(({ fromStart, toEnd }) => fromStart || toEnd)) throw new PatternRefused('^ or $ within a group');
    return { kind: 'choice', parts: list.map(({ part }) => part) };
  };
  const characterClass = (): CodeRange[] => {
    const negated = take('^');
    const ranges: CodeRange[] = [];
    const one = (): readonly CodeRange[] => (take('\\') ? escape() : [single(characters[at++])]);
    while (!take(']')) {
      const first = one();
      if (peek() === '-' && characters[at + 1] !== ']') {
        at++;
        ranges.push([first[0][0], one()[0][1]]);
      } else ranges.push(...first);
    }
    return negated ? complement(ranges) : ranges;
  };
  const escape = (): readonly CodeRange[] => {
    const letter = characters[at++];
    if (Object.hasOwn(CLASSES, letter)) return CLASSES[letter];
    if (Object.hasOwn(CONTROLS, letter)) return [[CONTROLS[letter], CONTROLS[letter]]];
    if (letter === 'x' || letter === 'u') {
      const code = /^(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{4})|([0-9a-fA-F]{2}))/.exec(
        characters.slice(at, at + (letter === 'x' ? 2 : 10)).join(''),
      );
      const hex = code?.[1] ?? code?.[2] ?? code?.[3] ?? '';
      at += code?.[0].length ?? 0;
      const value = parseInt(hex, 16);
      if (value >= 0xd800 && value <= 0xdfff) throw new PatternRefused('halves of a surrogate pair');
      return [[value, value]];
    }
    if (/[a-zA-Z0-9]/.test(letter)) throw new PatternRefused(`\\${letter}`);
    return [single(letter)];
  };
  return alternatives();
}

function isRegularExpression(source: string): boolean {
  try {
    return new RegExp(source, 'u').unicode;
  } catch {
    return false;
  }
}

const single = (character: string): CodeRange => {
  const code = character.codePointAt(0) as number;
  return [code, code];
};
