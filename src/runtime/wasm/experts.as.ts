// Mixture of experts: which experts a row goes to, the rows of each expert together, and the weighted sum of what came
// out. A route is an expert and its weight; the routes of a row lie best first.
import { add, exp4, mul } from './arithmetic.as';
import { groupBytes, groupHeader, routeBytes, scoreSoftmax, tokenGroup } from './layout';

const ones = f32x4.splat(1);

/** The best of `count` scores, the first of equals; those taken are NaN, and so is the one that is returned, from now on. */
function takeBest(scores: usize, count: i32): i32 {
  let best = -1;
  let most: f32 = 0;
  for (let i = 0; i < count; i++) {
    const score = load<f32>(scores + (<usize>i << 2));
    if (score == score && (best < 0 || score > most)) best = i, most = score;
  }
  // Scores of a model that has gone wrong; its experts must still be experts.
  if (best < 0) return 0;
  store<f32>(scores + (<usize>best << 2), NaN);
  return best;
}

/** Leave only the scores of the `active` groups of neighbours with the largest sums of their two best; `sums` is scratch. */
function keepGroups(scores: usize, experts: i32, groups: i32, active: i32, sums: usize): void {
  const size = experts / groups;
  for (let g = 0; g < groups; g++) {
    let first: f32 = -Infinity, second: f32 = -Infinity;
    for (let i = g * size; i < (g + 1) * size; i++) {
      const score = load<f32>(scores + (<usize>i << 2));
      if (score > first) second = first, first = score;
      else if (score > second) second = score;
    }
    store<f32>(sums + (<usize>g << 2), size > 1 ? first + second : first);
  }
  for (let taken = 0; taken < active; taken++) takeBest(sums, groups);
  // The groups that are kept are those whose sums were taken.
  for (let g = 0; g < groups; g++) {
    const sum = load<f32>(sums + (<usize>g << 2));
    if (sum == sum) for (let i = g * size; i < (g + 1) * size; i++) store<f32>(scores + (<usize>i << 2), NaN);
  }
}

/**
 * The routes of one row of router logits; `bias` is the address of what is added to the scores for the choice, or 0.
 * `scratch` has room for two rows of logits and a sum a group.
 */
export function route(
  out: usize, logits: usize, experts: i32, active: i32, score: i32, normalize: bool, scale: f32, bias: usize, groups: i32,
  activeGroups: i32, scratch: usize,
): void {
  const bytes = <usize>((experts + 3) & ~3) << 2;
  const terms = scratch, choice = scratch + bytes;
  const isSoftmax = score == scoreSoftmax;
  let most = load<f32>(logits);
  for (let i = 1; i < experts; i++) most = max(most, load<f32>(logits + (<usize>i << 2)));
  for (let i: usize = 0; i < bytes; i += 16) {
    const x = v128.load(logits + i);
    const term = isSoftmax ? exp4(f32x4.sub(x, f32x4.splat(most))) : f32x4.div(ones, add(ones, exp4(f32x4.neg(x))));
    v128.store(terms + i, term);
  }
  let total: f32 = 1;
  if (isSoftmax) {
    total = 0;
    for (let i = 0; i < experts; i++) total += load<f32>(terms + (<usize>i << 2));
  }
  const byLogits = isSoftmax && bias == 0 && groups == 0;
  for (let i = 0; i < experts; i++) {
    const at = <usize>i << 2;
    let value = byLogits ? load<f32>(logits + at) : load<f32>(terms + at) / total;
    if (bias) value += load<f32>(bias + at);
    store<f32>(choice + at, value);
  }
  if (groups) keepGroups(choice, experts, groups, activeGroups, choice + bytes);
  let sum: f32 = 0;
  for (let slot = 0; slot < active; slot++) {
    const at = out + <usize>slot * routeBytes;
    const expert = takeBest(choice, experts);
    const term = load<f32>(terms + (<usize>expert << 2));
    store<i32>(at, expert);
    store<f32>(at, term, 4);
    sum += term;
  }
  const divisor = normalize ? sum : total;
  for (let slot = 0; slot < active; slot++) {
    const at = out + <usize>slot * routeBytes;
    store<f32>(at, scale * (load<f32>(at, 4) / divisor), 4);
  }
}

/**
 * The rows of each expert that has any, one group after the other in a list of places, each starting at a whole group of
 * tokens. `groups` gets their number and that of all places, then for each: expert, first place, rows; `places` the place
 * of each route of each row; `sources` the row at each place, or -1. `scratch` has room for a word an expert.
 */
export function groupRows(
  groups: usize, routes: usize, rows: i32, active: i32, experts: i32, places: usize, sources: usize, scratch: usize,
): void {
  memory.fill(scratch, 0, <usize>experts << 2);
  const all = rows * active;
  for (let r = 0; r < all; r++) {
    const counter = scratch + (load<usize>(routes + <usize>r * routeBytes) << 2);
    store<i32>(counter, load<i32>(counter) + 1);
  }
  let count = 0, place = 0;
  for (let expert = 0; expert < experts; expert++) {
    const counter = scratch + (<usize>expert << 2);
    const size = load<i32>(counter);
    if (size == 0) continue;
    const entry = groups + groupHeader + <usize>count * groupBytes;
    store<i32>(entry, expert);
    store<i32>(entry, place, 4);
    store<i32>(entry, size, 8);
    // From now on the next place of this expert.
    store<i32>(counter, place);
    place += (size + tokenGroup - 1) & ~(tokenGroup - 1);
    count++;
  }
  store<i32>(groups, count);
  store<i32>(groups, place, 4);
  memory.fill(sources, 0xff, <usize>place << 2);
  for (let r = 0; r < all; r++) {
    const counter = scratch + (load<usize>(routes + <usize>r * routeBytes) << 2);
    const at = load<i32>(counter);
    store<i32>(counter, at + 1);
    store<i32>(places + (<usize>r << 2), at);
    store<i32>(sources + (<usize>at << 2), r / active);
  }
}

/** The sum of a row's outputs, one at each of its places, times their weights, in order of the routes. */
export function mixRow(out: usize, outputs: usize, stride: usize, width: usize, active: i32, routes: usize, places: usize): void {
  for (let i: usize = 0; i < width << 2; i += 16) {
    let sum = f32x4.splat(0);
    for (let slot = 0; slot < active; slot++) {
      const y = v128.load(outputs + load<usize>(places + (<usize>slot << 2)) * stride + i);
      sum = add(sum, mul(f32x4.splat(load<f32>(routes + <usize>slot * routeBytes, 4)), y));
    }
    v128.store(out + i, sum);
  }
}
