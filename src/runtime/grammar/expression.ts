// Grammars as expressions over bytes: what schemas, tools and patterns are written in, before they become an automaton.

/** Byte values, both ends included. */
export type ByteRange = readonly [low: number, high: number];

export type Expression =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'set'; readonly ranges: readonly ByteRange[] }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'choice'; readonly parts: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly part: Expression; readonly min: number; readonly max: number }
  | { readonly kind: 'rule'; readonly rule: Rule }
  | { readonly kind: 'graph'; readonly graph: Graph };

/** A named expression, compiled once however often it is used; it may use itself, but not before a byte. */
export interface Rule {
  readonly name: string;
  expression: Expression | undefined;
}

/** Nodes joined by expressions, where a tree of expressions would repeat itself. Node 0 is the entry. */
export interface Graph {
  readonly nodes: readonly {
    readonly edges: readonly { readonly part: Expression; readonly to: number }[];
    readonly isEnd: boolean;
  }[];
}

const utf8 = new TextEncoder();

export const literal = (text: string): Expression => ({ kind: 'bytes', bytes: utf8.encode(text) });
export const sequence = (...parts: readonly Expression[]): Expression => ({ kind: 'sequence', parts });
export const choice = (...parts: readonly Expression[]): Expression =>
  parts.length === 1 ? parts[0] : { kind: 'choice', parts };
export const repeat = (part: Expression, min: number, max = Infinity): Expression => ({
  kind: 'repeat',
  part,
  min,
  max,
});
export const optional = (part: Expression): Expression => repeat(part, 0, 1);
export const byteSet = (...ranges: readonly ByteRange[]): Expression => ({ kind: 'set', ranges });
export const rule = (name: string, expression?: Expression): Expression & { readonly kind: 'rule' } => ({
  kind: 'rule',
  rule: { name, expression },
});
/** Nothing matches it. */
export const NOTHING: Expression = { kind: 'choice', parts: [] };
/** The empty text. */
export const EMPTY: Expression = { kind: 'sequence', parts: [] };

/**
 * All texts in which `end` occurs first at their end; with `isEnd` false, all texts in which it does not occur.
 * Knuth, Morris and Pratt's automaton over bytes.
 */
export function textUntil(end: string, isEnd: boolean): Expression {
  const pattern = utf8.encode(end);
  const fallback = [0];
  for (let i = 1, k = 0; i < pattern.length; i++) {
    while (k > 0 && pattern[i] !== pattern[k]) k = fallback[k - 1];
    if (pattern[i] === pattern[k]) k++;
    fallback.push(k);
  }
  const after = (matched: number, byte: number): number => {
    let k = matched;
    while (k > 0 && pattern[k] !== byte) k = fallback[k - 1];
    return pattern[k] === byte ? k + 1 : 0;
  };
  const nodes = Array.from({ length: pattern.length + 1 }, (_, matched) => {
    if (matched === pattern.length) return { edges: [], isEnd };
    const ranges = new Map<number, ByteRange[]>();
    for (let byte = 0; byte < 256; byte++) {
      const to = after(matched, byte);
      const list = ranges.get(to) ?? [];
      const last = list.at(-1);
      if (last?.[1] === byte - 1) list[list.length - 1] = [last[0], byte];
      else list.push([byte, byte]);
      ranges.set(to, list);
    }
    return {
      edges: [...ranges].map(([to, list]) => ({ part: byteSet(...list), to })),
      isEnd: !isEnd,
    };
  });
  return { kind: 'graph', graph: { nodes } };
}
