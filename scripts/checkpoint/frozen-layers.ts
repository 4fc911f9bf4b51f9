// The layers of the shipped checkpoint: seeded random numbers that are never trained. Only one thing is not left
// to chance. Each attention head looks back by a fixed number of tokens, so that the last hidden state holds the
// recent words, apart from each other; a head fitted on that can continue a text.

import { createRng, type Rng } from '../../src/core/index.ts';
import { f32ToBf16, weightSpecs } from '../../src/model/index.ts';
import type { GqaShape, LlmShape } from '../../src/spec/index.ts';

/** Element 0 of every embedding: a constant that queries and keys are made of. No layer writes to it. */
const CONSTANT = 8;
/** Score of the token that a head looks for, before softmax. */
const PEAK_SCORE = 120;
/** Pairs of a head's dimensions that carry the position, those that rope turns fastest. */
const POSITION_PAIRS = 16;
/** What a head adds to a hidden state, relative to the embedding, at a look-back of 1 token; and its decay per token. */
const HEAD_SCALE = 0.9;
const HEAD_DECAY = 0.87;
const MLP_SCALE = 0.8;

/** Tokens that each head of each layer looks back. */
const LOOK_BACK: readonly (readonly number[])[] = [
  [1, 2, 3, 4],
  [5, 6, 7, 8],
  [9, 10, 12, 14],
];

/** Every tensor but the head, by name, as bfloat16 patterns. */
export function makeFrozen(shape: LlmShape, seed: number): Map<string, Uint16Array> {
  const attention = shape.attention as GqaShape;
  const make = (part: string, dims: readonly number[], layer: number, rng: Rng): Float32Array => {
    const deviation = 1 / Math.sqrt(dims.at(-1) ?? 1);
    switch (part) {
      case 'embed_tokens':
        return random(rng, dims, 1, (_, column) => (column === 0 ? CONSTANT : undefined));
      case 'q_proj':
        return positions(attention, shape, dims, LOOK_BACK[layer]);
      case 'k_proj':
        return positions(attention, shape, dims, Array<number>(attention.kvHeads).fill(0));
      case 'o_proj':
        return outputs(rng, dims, attention.headDim, LOOK_BACK[layer]);
      case 'down_proj':
        return random(rng, dims, MLP_SCALE * deviation, (row) => (row === 0 ? 0 : undefined));
      default:
        // Norms are 1; values, gates and ups are random.
        return dims.length === 1 ? new Float32Array(dims[0]).fill(1) : random(rng, dims, deviation);
    }
  };
  const tensors = new Map<string, Uint16Array>();
  for (const { name, shape: dims, layer = 0 } of weightSpecs(shape)) {
    if (name === 'lm_head.weight') continue;
    const rng = createRng(seed).fork(name);
    tensors.set(name, f32ToBf16(make(name.split('.').at(-2) ?? '', dims, layer, rng)));
  }
  return tensors;
}

function random(
  rng: Rng,
  [rows, columns]: readonly number[],
  deviation: number,
  fixed: (row: number, column: number) => number | undefined = () => undefined,
): Float32Array {
  const values = new Float32Array(rows * columns);
  for (let i = 0; i < values.length; i++) {
    // Drawn in any case, so that an exception does not move the rest.
    const drawn = deviation * rng.normal();
    values[i] = fixed(Math.floor(i / columns), i % columns) ?? drawn;
  }
  return values;
}

/**
 * Queries or keys that depend on the position only. Rope turns pair i of a query and of a key at a distance d by
 * angles that differ by d·θᵢ; with the query ahead by lookBack·θᵢ, their product is largest at d = lookBack.
 */
function positions(
  { headDim }: GqaShape,
  shape: LlmShape,
  [rows, columns]: readonly number[],
  lookBack: readonly number[],
): Float32Array {
  const values = new Float32Array(rows * columns);
  const half = headDim / 2;
  // What norm leaves of the constant, if the other elements have variance 1.
  const normed = CONSTANT / Math.sqrt(1 + CONSTANT ** 2 / shape.hidden);
  const amplitude = Math.sqrt((PEAK_SCORE * Math.sqrt(headDim)) / POSITION_PAIRS) / normed;
  for (const [head, distance] of lookBack.entries()) {
    for (let i = 0; i < POSITION_PAIRS; i++) {
      const angle = -distance * shape.rope.theta ** (-i / half);
      values[(head * headDim + i) * columns] = amplitude * Math.cos(angle);
      values[(head * headDim + i + half) * columns] = amplitude * Math.sin(angle);
    }
  }
  return values;
}

/** Mixes each head's values into the hidden state, the weaker the further it looks back. */
function outputs(rng: Rng, dims: readonly number[], headDim: number, lookBack: readonly number[]): Float32Array {
  const values = random(rng, dims, 1, (row) => (row === 0 ? 0 : undefined));
  const columns = dims[1];
  for (let i = 0; i < values.length; i++) {
    const distance = lookBack[Math.floor((i % columns) / headDim)];
    values[i] *= (HEAD_SCALE * HEAD_DECAY ** (distance - 1)) / Math.sqrt(headDim);
  }
  return values;
}
