// What stands between two texts: models that were trained to write it want the two within marks of their own.

import type { Tokenizer } from '../../model/index.ts';
import { ApiError } from '../../protocol/index.ts';

interface FillInMarks {
  /** The prompt, of marks and the letters P (what goes before) and S (what comes after). */
  readonly form: readonly string[];
  /** Written where the middle is done, or a model goes on with the next file. */
  readonly ends: readonly string[];
}

/** By the tokens that their vocabularies have; the forms are those of the models' own cards. */
const KNOWN: readonly FillInMarks[] = [
  // Qwen 2.5 Coder and its heirs, CodeGemma.
  {
    form: ['<|fim_prefix|>', 'P', '<|fim_suffix|>', 'S', '<|fim_middle|>'],
    ends: ['<|fim_pad|>', '<|repo_name|>', '<|file_sep|>', '<|file_separator|>'],
  },
  // StarCoder, Granite Code.
  {
    form: ['<fim_prefix>', 'P', '<fim_suffix>', 'S', '<fim_middle>'],
    ends: ['<fim_pad>', '<repo_name>', '<file_sep>'],
  },
  // DeepSeek Coder.
  { form: ['<｜fim▁begin｜>', 'P', '<｜fim▁hole｜>', 'S', '<｜fim▁end｜>'], ends: [] },
  // Codestral.
  { form: ['[SUFFIX]', 'S', '[PREFIX]', 'P'], ends: ['[MIDDLE]'] },
];

export interface FillIn {
  /** The prompt to be gone on with. */
  prompt(prefix: string, suffix: string): string;
  /** Tokens that end the middle beside the model's own. */
  readonly ends: readonly number[];
}

/** @throws ApiError 400 where the vocabulary has none of the known marks */
export function fillInOf(tokenizer: Tokenizer, model: string): FillIn {
  const tokenOf = (mark: string): number | undefined => {
    const ids = idsOf(mark, tokenizer);
    return ids.length === 1 ? ids[0] : undefined;
  };
  const isMark = (part: string): boolean => part !== 'P' && part !== 'S';
  const known = KNOWN.find(({ form }) => form.filter(isMark).every((mark) => tokenOf(mark) !== undefined));
  if (known === undefined) {
    throw new ApiError({
      status: 400,
      code: 'suffix_not_supported',
      param: 'suffix',
      message: `The model '${model}' cannot fill in text: its vocabulary has no marks for it that are known here.`,
      suggestion: `Leave 'suffix' out, or use a model trained to fill in, such as Qwen 2.5 Coder.`,
    });
  }
  const { form, ends } = known;
  return {
    prompt: (prefix, suffix) => form.map((part) => (part === 'P' ? prefix : part === 'S' ? suffix : part)).join(''),
    ends: [...form.filter(isMark), ...ends].map(tokenOf).filter((id) => id !== undefined),
  };
}

/** A text that a vocabulary cannot write is no token of it. */
function idsOf(mark: string, tokenizer: Tokenizer): readonly number[] {
  try {
    return tokenizer.encode(mark, { addSpecial: false });
  } catch {
    return [];
  }
}
