// Ways to leave weights out, as values and as text, and what a graph becomes by them.

import { fail } from '../../core/index.ts';
import { graphOf } from '../arch/index.ts';
import type { Graph } from '../graph.ts';

/**
 * What is left out of the matrices of attention, MLPs and experts:
 * - `magnitude`: in each output row the `share` of smallest magnitude becomes 0;
 * - `pattern`: of each `of` neighbours in a row all but the `keep` largest become 0 (N:M);
 * - `channels`: the `share` of inner channels of each dense MLP that weigh least is taken out, rows of gate and up and
 *   columns of down, so that the matrices are smaller.
 */
export type Pruning =
  | { readonly kind: 'magnitude'; readonly share: number }
  | { readonly kind: 'pattern'; readonly keep: number; readonly of: number }
  | { readonly kind: 'channels'; readonly share: number };

/** Neighbours that a pattern may span. */
export const MAX_PATTERN = 64;

/**
 * `magnitude=0.5`, `channels=0.25` or `2:4`.
 * @throws IngotError PRUNING_UNKNOWN
 */
export function parsePruning(text: string): Pruning {
  const [, keep, of] = /^(\d{1,2}):(\d{1,2})$/.exec(text) ?? [];
  if (keep !== undefined) return checkPruning({ kind: 'pattern', keep: Number(keep), of: Number(of) }, text);
  const [, kind, share] = /^(magnitude|channels)=(0?\.\d{1,9}|0)$/.exec(text) ?? [];
  if (kind === 'magnitude' || kind === 'channels') return checkPruning({ kind, share: Number(share) }, text);
  return refuse(text, text === '' ? 'an empty text' : text);
}

/** @throws IngotError PRUNING_UNKNOWN unless its numbers make sense */
export function checkPruning(pruning: Pruning, where: string): Pruning {
  const isSound =
    pruning.kind === 'pattern'
      ? Number.isInteger(pruning.keep) &&
        Number.isInteger(pruning.of) &&
        pruning.keep >= 1 &&
        pruning.of > pruning.keep &&
        pruning.of <= MAX_PATTERN
      : pruning.share > 0 && pruning.share < 1;
  return isSound ? pruning : refuse(where, pruningText(pruning));
}

function refuse(where: string, found: string): never {
  return fail({
    code: 'PRUNING_UNKNOWN',
    message: 'this does not say which weights to leave out',
    where,
    expected: `magnitude=SHARE or channels=SHARE with a share between 0 and 1, or N:M with N below M and M at most ${MAX_PATTERN}`,
    found,
    suggestion: 'for example magnitude=0.5, 2:4 or channels=0.25',
  });
}

export const pruningText = (pruning: Pruning): string =>
  pruning.kind === 'pattern' ? `${pruning.keep}:${pruning.of}` : `${pruning.kind}=${pruning.share}`;

/** Inner channels that stay of a dense MLP. */
const keptChannels = (ffn: number, share: number): number => Math.max(1, ffn - Math.floor(share * ffn));

/**
 * The graph of the pruned model. Zeros change no shape.
 * @throws IngotError PRUNING_UNSUPPORTED for channels of a mixture of experts
 */
export function prunedGraph(graph: Graph, pruning: Pruning): Graph {
  if (pruning.kind !== 'channels') return graph;
  const { mlp } = graph.shape;
  if (mlp.kind !== 'dense')
    return fail({
      code: 'PRUNING_UNSUPPORTED',
      message: 'channels are taken out of dense MLPs only',
      where: pruningText(pruning),
      found: 'a mixture of experts',
      suggestion: 'magnitude=SHARE or N:M',
    });
  return graphOf({ ...graph.shape, mlp: { ...mlp, ffn: keptChannels(mlp.ffn, pruning.share) } });
}
