// A layer for one token by the reference meaning of its ops: what a lowered layer is compared with.

import { assert } from '../../core/index.ts';
import { definitionOf, type Op } from '../../model/index.ts';
import type { Tensors } from '../kernel/lower/lowering.ts';
import type { LayerSpec } from './lower-layer.ts';

/** The layer's `x` after the token; see `lowerLayer` for the tensors. */
export function layerReference({ ops, context, append }: LayerSpec, tensors: Tensors): Float32Array {
  const tensor = (name: string): Float32Array => {
    const elements = tensors[name];
    return elements instanceof Float32Array ? elements : Float32Array.from(elements);
  };
  const values = new Map([['x', tensor('x')]]);
  const rowsOf = (cache: Float32Array, width: number, count: number): Float32Array[] =>
    Array.from({ length: count }, (_, position) => cache.slice(position * width, (position + 1) * width));
  for (const op of ops) {
    const cached = op.kind === 'attention' ? op : undefined;
    const width = cached === undefined ? 0 : cached.kvHeads * cached.headDim;
    const [keys, cachedValues] = ['cacheK', 'cacheV'].map((name) =>
      cached === undefined ? [] : rowsOf(tensor(name), width, append ? context - 1 : context),
    );
    // The op appends what it attends to: without an append that is the last position of the cache.
    const [lastKey, lastValue] = append ? [] : [keys.pop(), cachedValues.pop()];
    values.set(
      op.out,
      evaluate(op, cached === undefined && !append ? context : context - 1, keys, cachedValues, (name) => {
        if (cached !== undefined && name === cached.k && lastKey !== undefined) return lastKey;
        if (cached !== undefined && name === cached.v && lastValue !== undefined) return lastValue;
        const value = values.get(name);
        assert(value !== undefined, `${name} is written before it is read`);
        return value;
      }),
    );
  }
  return values.get(ops[ops.length - 1].out) as Float32Array;

  function evaluate(
    op: Op,
    start: number,
    keys: Float32Array[],
    cachedValues: Float32Array[],
    value: (name: string) => Float32Array,
  ): Float32Array {
    return definitionOf(op).evaluate(op, {
      tokens: [0],
      start,
      value,
      weight: tensor,
      cache: { keys, values: cachedValues },
    });
  }
}
