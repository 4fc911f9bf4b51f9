// Expressions compiled to a recursive transition network: states with edges on bytes, and calls of rules. What cannot
// reach the end of its rule is cut off, so that a text which follows the network can always be finished.

import { fail } from '../../core/index.ts';
import type { Expression, Rule } from './expression.ts';

/** Takes a tenth of a second to compile; schemas that people write take hundreds to thousands of states. */
export const MAX_STATES = 50_000;

export interface NetworkState {
  /** Flat triples: low byte, high byte, target. */
  edges: number[];
  /** Targets reached without a byte. */
  jumps: number[];
  /** Flat pairs: first state of a rule, state to go on with after it. */
  calls: number[];
  /** The rule ends here. */
  ends: boolean;
  /** Fewest bytes to the end of the rule. */
  distance: number;
}

export interface Network {
  readonly states: readonly NetworkState[];
  readonly start: number;
}

/** @throws IngotError GRAMMAR_TOO_LARGE, GRAMMAR_LEFT_RECURSIVE, GRAMMAR_UNSATISFIABLE */
export function compileNetwork(root: Expression): Network {
  const states: NetworkState[] = [];
  const starts = new Map<Rule, number>();
  const pending: Rule[] = [];

  const add = (): number => {
    if (states.length >= MAX_STATES) {
      fail({
        code: 'GRAMMAR_TOO_LARGE',
        message: 'the schema makes a grammar that is too large',
        expected: `at most ${MAX_STATES} states`,
        suggestion: 'Use smaller lengths and counts, or fewer alternatives.',
      });
    }
    states.push({ edges: [], jumps: [], calls: [], ends: false, distance: Infinity });
    return states.length - 1;
  };
  const startOf = (rule: Rule): number => {
    let start = starts.get(rule);
    if (start === undefined) {
      start = add();
      starts.set(rule, start);
      pending.push(rule);
    }
    return start;
  };

  /** Adds what leads from one state to another. */
  const connect = (part: Expression, from: number, to: number): void => {
    switch (part.kind) {
      case 'bytes': {
        let at = from;
        part.bytes.forEach((byte, i) => {
          const next = i === part.bytes.length - 1 ? to : add();
          states[at].edges.push(byte, byte, next);
          at = next;
        });
        if (part.bytes.length === 0) states[from].jumps.push(to);
        return;
      }
      case 'set':
        for (const [low, high] of part.ranges) states[from].edges.push(low, high, to);
        return;
      case 'sequence': {
        let at = from;
        part.parts.forEach((each, i) => {
          const next = i === part.parts.length - 1 ? to : add();
          connect(each, at, next);
          at = next;
        });
        if (part.parts.length === 0) states[from].jumps.push(to);
        return;
      }
      case 'choice':
        for (const each of part.parts) connect(each, from, to);
        return;
      case 'repeat': {
        let at = from;
        for (let i = 0; i < part.min; i++) {
          const next = add();
          connect(part.part, at, next);
          at = next;
        }
        if (part.max === Infinity) {
          // A state of its own, so that the loop is not entered by whoever else reaches `at`.
          const loop = add();
          states[at].jumps.push(loop);
          connect(part.part, loop, loop);
          states[loop].jumps.push(to);
          return;
        }
        states[at].jumps.push(to);
        for (let i = part.min; i < part.max; i++) {
          const next = add();
          connect(part.part, at, next);
          states[next].jumps.push(to);
          at = next;
        }
        return;
      }
      case 'rule':
        states[from].calls.push(startOf(part.rule), to);
        return;
      case 'graph': {
        const nodes = part.graph.nodes.map(() => add());
        states[from].jumps.push(nodes[0]);
        part.graph.nodes.forEach(({ edges, isEnd }, i) => {
          for (const edge of edges) connect(edge.part, nodes[i], nodes[edge.to]);
          if (isEnd) states[nodes[i]].jumps.push(to);
        });
        return;
      }
    }
  };

  const start = startOf({ name: 'root', expression: root });
  for (let rule = pending.pop(); rule !== undefined; rule = pending.pop()) {
    const end = add();
    states[end].ends = true;
    connect(rule.expression ?? { kind: 'choice', parts: [] }, startOf(rule), end);
  }
  measure(states);
  if (states[start].distance === Infinity) {
    fail({
      code: 'GRAMMAR_UNSATISFIABLE',
      message: 'no text satisfies the schema, or only texts without an end',
      suggestion: 'Check bounds that exclude each other, and recursion without an alternative that ends it.',
    });
  }
  prune(states);
  refuseLeftRecursion(states, [...starts.values()]);
  return { states, start };
}

/** Fewest bytes to the end, by going back from the ends until nothing gets shorter. */
function measure(states: readonly NetworkState[]): void {
  /** Who must be looked at again when a state gets nearer to its end. */
  const users: number[][] = states.map(() => []);
  states.forEach(({ edges, jumps, calls }, i) => {
    for (let e = 2; e < edges.length; e += 3) users[edges[e]].push(i);
    for (const to of jumps) users[to].push(i);
    for (const state of calls) users[state].push(i);
  });
  const work = states.flatMap(({ ends }, i) => (ends ? [i] : []));
  for (const i of work) states[i].distance = 0;
  for (let i = work.pop(); i !== undefined; i = work.pop()) {
    for (const user of users[i]) {
      const state = states[user];
      const { edges, jumps, calls } = state;
      let best = state.distance;
      for (let e = 2; e < edges.length; e += 3) best = Math.min(best, 1 + states[edges[e]].distance);
      for (const to of jumps) best = Math.min(best, states[to].distance);
      for (let c = 0; c < calls.length; c += 2) {
        best = Math.min(best, states[calls[c]].distance + states[calls[c + 1]].distance);
      }
      if (best < state.distance) {
        state.distance = best;
        work.push(user);
      }
    }
  }
}

function prune(states: readonly NetworkState[]): void {
  if (states.every(({ distance }) => distance < Infinity)) return;
  const leads = (state: number): boolean => states[state].distance < Infinity;
  for (const state of states) {
    const { edges, calls } = state;
    state.edges = edges.filter((_, e) => leads(edges[e - (e % 3) + 2]));
    state.jumps = state.jumps.filter(leads);
    state.calls = calls.filter((_, c) => leads(calls[c - (c % 2)]) && leads(calls[c - (c % 2) + 1]));
  }
}

/** A rule that calls itself before a byte would be entered for ever. */
function refuseLeftRecursion(states: readonly NetworkState[], starts: readonly number[]): void {
  const isStart = new Set(starts);
  const entered = new Map<number, 'now' | 'done'>();
  /** First states of rules that are called from a start before any byte. */
  const calledFirst = (start: number): Set<number> => {
    const called = new Set<number>();
    const seen = new Set([start]);
    const work = [start];
    for (let i = work.pop(); i !== undefined; i = work.pop()) {
      const { jumps, calls } = states[i];
      const next = [...jumps];
      for (let c = 0; c < calls.length; c += 2) {
        called.add(calls[c]);
        if (states[calls[c]].distance === 0) next.push(calls[c + 1]);
      }
      for (const to of next) {
        if (seen.has(to)) continue;
        seen.add(to);
        work.push(to);
      }
    }
    return called;
  };
  const visit = (start: number): void => {
    entered.set(start, 'now');
    for (const called of calledFirst(start)) {
      if (!isStart.has(called) || entered.get(called) === 'done') continue;
      if (entered.get(called) === 'now') {
        fail({
          code: 'GRAMMAR_LEFT_RECURSIVE',
          message: 'a part of the schema refers to itself without anything in between',
          suggestion: 'Put the reference into a property or into items.',
        });
      }
      visit(called);
    }
    entered.set(start, 'done');
  };
  for (const start of starts) if (!entered.has(start)) visit(start);
}
