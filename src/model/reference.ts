// The slow, obvious executor that everything faster is compared with.

import { assert, fail } from '../core/index.ts';
import { requireExecutable } from './arch/index.ts';
import type { Graph, Op, WeightSource } from './graph.ts';
import { definitionOf, type KvCache, type StepView } from './op/index.ts';
import { verifyGraph } from './op/verify-graph.ts';

export interface ReferenceSession {
  /** Tokens in the KV cache. */
  readonly length: number;
  /**
   * Append tokens to the sequence.
   * @returns logits [vocab] of the last token, or [tokens, vocab] with `all`
   * @throws IngotError CONTEXT_OVERFLOW, TOKEN_OUT_OF_RANGE; the session is then as it was before the call
   */
  forward(tokens: readonly number[], options?: { readonly all?: boolean }): Float32Array;
}

export interface Reference {
  readonly graph: Graph;
  /** A new, empty sequence. */
  start(): ReferenceSession;
}

/**
 * Run a graph op by op. Values and weights are float32; weights are widened when first used and kept.
 * @throws IngotError ARCH_UNSUPPORTED for a graph that is for sizing only; CHECKPOINT_TENSOR_MISSING,
 * CHECKPOINT_TENSOR_SHAPE when a weight is first used
 */
export function createReference(graph: Graph, weights: WeightSource): Reference {
  requireExecutable(graph);
  verifyGraph(graph);
  const { vocab, maxContext } = graph.shape;
  const widened = new Map<string, Float32Array>();

  const weightOf = (op: Op, name: string): Float32Array => {
    const known = widened.get(name);
    if (known !== undefined) return known;
    const use = definitionOf(op)
      .weights(op)
      .find((weight) => weight.name === name);
    assert(use !== undefined, `op ${op.kind} reads ${name} without declaring it`);
    if (!weights.has(name)) {
      fail({
        code: 'CHECKPOINT_TENSOR_MISSING',
        message: 'the checkpoint lacks a weight that the model needs',
        where: name,
      });
    }
    const shape = weights.shape(name);
    if (shape.join() !== use.shape.join()) {
      fail({
        code: 'CHECKPOINT_TENSOR_SHAPE',
        message: 'a weight has another shape than the configuration says',
        where: name,
        expected: `[${use.shape.join(', ')}]`,
        found: `[${shape.join(', ')}]`,
      });
    }
    const elements = weights.read(name);
    widened.set(name, elements);
    return elements;
  };

  const start = (): ReferenceSession => {
    const caches: KvCache[] = graph.layers.map(() => ({ keys: [], values: [] }));
    const noCache: KvCache = { keys: [], values: [] };
    let length = 0;

    /** Run one section; `x` goes in by name and what was written comes out. */
    const run = (section: readonly Op[], cache: KvCache, tokens: readonly number[], x?: Float32Array) => {
      const values = new Map<string, Float32Array>(x === undefined ? [] : [['x', x]]);
      for (const op of section) {
        const step: StepView = {
          tokens,
          start: length,
          cache,
          value: (name) => {
            const value = values.get(name);
            assert(value !== undefined, `value ${name} was not written before ${op.out}`);
            return value;
          },
          weight: (name) => weightOf(op, name),
        };
        values.set(op.out, definitionOf(op).evaluate(op, step));
      }
      return values;
    };
    const written = (values: ReadonlyMap<string, Float32Array>, name: string): Float32Array => {
      const value = values.get(name);
      assert(value !== undefined, `no op writes ${name}`);
      return value;
    };

    return {
      get length() {
        return length;
      },
      forward(tokens, options = {}) {
        if (tokens.length === 0) throw new RangeError('forward needs at least one token');
        if (length + tokens.length > maxContext) {
          fail({
            code: 'CONTEXT_OVERFLOW',
            message: 'the sequence would be longer than the model allows',
            expected: `at most ${maxContext} tokens`,
            found: `${length + tokens.length} tokens`,
          });
        }
        let x = written(run(graph.prologue, noCache, tokens), 'x');
        for (const [layer, section] of graph.layers.entries()) x = written(run(section, caches[layer], tokens, x), 'x');
        // The head is the widest op: unless all logits are wanted, it sees the last row only.
        const kept = options.all === true ? tokens : tokens.slice(-1);
        const rows = x.subarray(x.length - kept.length * graph.shape.hidden);
        const logits = written(run(graph.epilogue, noCache, kept, rows), 'logits');
        assert(logits.length === kept.length * vocab, 'logits are [tokens, vocab]');
        length += tokens.length;
        return logits;
      },
    };
  };
  return { graph, start };
}

/** Index of the largest element; the first of equals. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
