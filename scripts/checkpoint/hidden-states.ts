import {
  createReference,
  graphOf,
  weightSpecs,
  widenInto,
  type Graph,
  type WeightSource,
} from '../../src/model/index.ts';
import type { LlmShape } from '../../src/spec/index.ts';
import type { Sequence } from './corpus.ts';

export const bytesOf = (tensor: Uint16Array): Uint8Array =>
  new Uint8Array(tensor.buffer, tensor.byteOffset, tensor.byteLength);

export interface Examples {
  /** Last hidden states behind the final norm, [examples, hidden]. */
  readonly hidden: Float32Array;
  /** The token that should follow each. */
  readonly targets: Int32Array;
}

/** What the frozen layers make of each prefix of each sequence, by the reference executor. */
export function hiddenStates(
  shape: LlmShape,
  frozen: ReadonlyMap<string, Uint16Array>,
  sequences: readonly Sequence[],
): Examples {
  const width = shape.hidden;
  const reference = createReference(headlessGraph(shape), headlessSource(shape, frozen));
  const targets = sequences.flatMap(({ next, from }) => next.slice(from));
  const hidden = new Float32Array(targets.length * width);
  let at = 0;
  for (const { input, from } of sequences) {
    const states = reference
      .start()
      .forward(input, { all: true })
      .subarray(from * width);
    hidden.set(states, at);
    at += states.length;
  }
  return { hidden, targets: Int32Array.from(targets) };
}

/** The graph with the identity for a head, so that its logits are the last hidden states. */
function headlessGraph(shape: LlmShape): Graph {
  const graph = graphOf(shape);
  const epilogue = graph.epilogue.map((op) => (op.kind === 'linear' ? { ...op, n: shape.hidden } : op));
  return { ...graph, shape: { ...shape, vocab: shape.hidden }, epilogue };
}

function headlessSource({ hidden, ...rest }: LlmShape, frozen: ReadonlyMap<string, Uint16Array>): WeightSource {
  const dims = new Map(weightSpecs({ hidden, ...rest }).map((spec) => [spec.name, spec.shape]));
  return {
    names: [...dims.keys()],
    has: (name) => dims.has(name),
    shape: (name) => (frozen.has(name) ? (dims.get(name) ?? []) : [hidden, hidden]),
    dtype: () => 'bf16',
    read(name) {
      const stored = frozen.get(name);
      if (stored === undefined)
        return Float32Array.from({ length: hidden ** 2 }, (_, i) => Number(i % (hidden + 1) === 0));
      const values = new Float32Array(stored.length);
      widenInto(values, 0, bytesOf(stored), 'bf16');
      return values;
    },
    readRows: () => {
      throw new Error('the reference reads whole tensors');
    },
  };
}
