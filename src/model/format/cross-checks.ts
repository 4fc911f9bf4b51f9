// A checkpoint's parts against each other, whatever format they came in.

import { fail, formatCount, nearest } from '../../core/index.ts';
import type { LlmShape } from '../../spec/index.ts';
import type { WeightSource } from '../graph.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { weightSpecs } from '../weights.ts';
import { createProblems, MAX_PROBLEMS } from './problems.ts';

/** Missing tensors among which a misspelt one is looked for. */
const MAX_CANDIDATES = 64;

/** How messages speak of a format. */
export interface FormatTerms {
  /** Folder or file of the checkpoint. */
  readonly where: string;
  /** What states the shape of the model. */
  readonly config: string;
  /** Key of it that names the architecture. */
  readonly architectureKey: string;
  /** What to do where it contradicts the tensors. */
  readonly mend: string;
  /** What the format calls a tensor. */
  nameOf(tensor: string): string;
}

/**
 * Tensors that some releases carry and no model of ours reads: rotary frequencies follow from the configuration, a tied
 * head is the embedding, and the last layer of DeepSeek and GLM predicts a second token, which decoding does without.
 */
const inertTensors: readonly {
  readonly pattern: RegExp;
  readonly when: (shape: LlmShape, layer: number) => boolean;
}[] = [
  { pattern: /^model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq$/, when: () => true },
  {
    pattern: /^model\.layers\.(\d+)\./,
    when: ({ mlp, layers }, layer) => mlp.kind === 'moe' && mlp.routing.bias === 'choice' && layer === layers,
  },
  { pattern: /^lm_head\.weight$/, when: (shape) => shape.tiedEmbeddings },
];

function isInert(name: string, shape: LlmShape): boolean {
  return inertTensors.some(({ pattern, when }) => {
    const match = pattern.exec(name);
    return match !== null && when(shape, Number(match[1]));
  });
}

/**
 * Every weight that the shape asks for is there in its shape, and there is nothing that nobody reads.
 * @throws IngotError CHECKPOINT_TENSOR_MISSING, CHECKPOINT_TENSOR_SHAPE, CHECKPOINT_TENSOR_UNKNOWN
 */
export function checkTensors(weights: WeightSource, shape: LlmShape, terms: FormatTerms): void {
  const { config, nameOf } = terms;
  const wanted = new Map(weightSpecs(shape).map((spec) => [spec.name, spec.shape]));
  const problems = createProblems();
  for (const [name, dims] of wanted) {
    const where = `${terms.where}, tensor ${nameOf(name)}`;
    const expected = `[${dims.join(', ')}]`;
    if (!weights.has(name)) {
      problems.add({
        code: 'CHECKPOINT_TENSOR_MISSING',
        message: `a weight that ${config} asks for is not in the checkpoint`,
        where,
        expected,
        suggestion: 'fetch all weights of the model',
      });
    } else if (weights.shape(name).join() !== dims.join()) {
      problems.add({
        code: 'CHECKPOINT_TENSOR_SHAPE',
        message: `a weight has another shape than ${config} asks for`,
        where,
        expected,
        found: `[${weights.shape(name).join(', ')}]`,
        suggestion: terms.mend,
      });
    }
  }
  const missing = [...wanted.keys()]
    .filter((name) => !weights.has(name))
    .slice(0, MAX_CANDIDATES)
    .map(nameOf);
  for (const name of weights.names) {
    if (wanted.has(name) || isInert(name, shape)) continue;
    // A problem that is only counted needs no suggestion.
    const near = problems.count < MAX_PROBLEMS ? nearest(nameOf(name), missing) : undefined;
    problems.add({
      code: 'CHECKPOINT_TENSOR_UNKNOWN',
      message: 'the checkpoint has a weight that this architecture does not use',
      where: `${terms.where}, tensor ${nameOf(name)}`,
      suggestion: near === undefined ? `check ${terms.architectureKey} in ${config}` : `did you mean ${near}?`,
    });
  }
  problems.throwIfAny();
}

/** @throws IngotError TOKENIZER_MISMATCH where the tokenizer has more tokens than the model has rows */
export function checkTokenizer(tokenizer: Tokenizer, shape: LlmShape, where: string): void {
  if (tokenizer.vocabSize <= shape.vocab) return;
  fail({
    code: 'TOKENIZER_MISMATCH',
    message: 'the tokenizer makes token ids that the model does not have',
    where,
    expected: `at most ${formatCount(shape.vocab)} tokens (vocab_size)`,
    found: formatCount(tokenizer.vocabSize),
    suggestion: 'use the tokenizer that was published with these weights',
  });
}
