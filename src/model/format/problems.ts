import { IngotError, type Diagnostic } from '../../core/index.ts';

/** A broken checkpoint can have a problem in each of its thousands of tensors; a person reads the first few. */
export const MAX_PROBLEMS = 8;

/** Collects the problems of one input, so that a person sees several at once instead of one per attempt. */
export interface Problems {
  readonly count: number;
  add(diagnostic: Diagnostic): void;
  /** Throws `IngotError` with the first `MAX_PROBLEMS` problems and a count of the rest, if there are any. */
  throwIfAny(): void;
}

export function createProblems(): Problems {
  const kept: Diagnostic[] = [];
  let count = 0;
  return {
    get count() {
      return count;
    },
    add(diagnostic) {
      count++;
      if (kept.length < MAX_PROBLEMS) kept.push(diagnostic);
    },
    throwIfAny() {
      if (count === 0) return;
      const rest = count - kept.length;
      throw new IngotError(
        rest === 0 ? kept : [...kept, { code: 'MORE_PROBLEMS', message: `${rest} more of this input are not listed` }],
      );
    },
  };
}
