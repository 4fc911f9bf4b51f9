// SentencePiece's BPE by score (Kudo and Richardson 2018, arXiv 1808.06226), as llama 2, mistral and their kin use it:
// of all neighbours whose joined text is a piece, the pair with the best score is joined first, the leftmost of equals.
// Ids equal those of llama.cpp (src/llama-vocab.cpp, llm_tokenizer_spm_session). The public library has no such model:
// a list of merges ranks the ways to make a piece, where SentencePiece ranks the piece.

/** A vocabulary with what decides how a text is cut. */
export interface ScoredPieces {
  /** Id by text, for every token. */
  readonly ids: ReadonlyMap<string, number>;
  /** Score by id; higher is joined sooner. Not NaN. */
  readonly scores: ArrayLike<number>;
  /** Id of each byte, for text that no piece covers. */
  readonly byteIds: readonly number[];
}

const utf8 = new TextEncoder();

/** Ids of a text in which spaces are already `▁`. Time is that of sorting the pairs. */
export function encodePieces(text: string, { ids, scores, byteIds }: ScoredPieces): number[] {
  // Pieces start as characters. Piece i covers text[starts[i], ends[i]); a joined piece keeps the place of its first.
  const starts: number[] = [];
  for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) starts.push(at);
  const count = starts.length;
  const ends = Int32Array.from({ length: count }, (_, i) => (i + 1 < count ? starts[i + 1] : text.length));
  const next = Int32Array.from({ length: count }, (_, i) => i + 1);
  const previous = Int32Array.from({ length: count }, (_, i) => i - 1);

  const pairs = createPairQueue();
  const offer = (left: number): void => {
    const right = next[left];
    if (left < 0 || right >= count) return;
    const id = ids.get(text.slice(starts[left], ends[right]));
    if (id !== undefined) pairs.push({ left, end: ends[right], score: scores[id] });
  };
  for (let i = 0; i + 1 < count; i++) offer(i);
  for (let pair = pairs.pop(); pair !== undefined; pair = pairs.pop()) {
    const { left, end } = pair;
    const right = next[left];
    // A pair is stale once either side was joined: its span is then none of the current pairs.
    if (ends[left] < 0 || right >= count || ends[right] !== end) continue;
    ends[left] = end;
    ends[right] = -1;
    next[left] = next[right];
    if (next[left] < count) previous[next[left]] = left;
    if (previous[left] >= 0) offer(previous[left]);
    offer(left);
  }

  const result: number[] = [];
  for (let i = 0; i < count; i = next[i]) {
    const piece = text.slice(starts[i], ends[i]);
    const id = ids.get(piece);
    if (id !== undefined) result.push(id);
    else for (const byte of utf8.encode(piece)) result.push(byteIds[byte]);
  }
  return result;
}

interface Pair {
  readonly left: number;
  /** Where the joined text ends. */
  readonly end: number;
  readonly score: number;
}

const goesBefore = (a: Pair, b: Pair): boolean => a.score > b.score || (a.score === b.score && a.left < b.left);

/** A binary heap: the best pair comes first. */
function createPairQueue(): { push(pair: Pair): void; pop(): Pair | undefined } {
  const heap: Pair[] = [];
  const swap = (a: number, b: number): void => {
    [heap[a], heap[b]] = [heap[b], heap[a]];
  };
  return {
    push(pair) {
      heap.push(pair);
      for (let at = heap.length - 1; at > 0; ) {
        const parent = (at - 1) >> 1;
        if (!goesBefore(heap[at], heap[parent])) break;
        swap(at, parent);
        at = parent;
      }
    },
    pop() {
      const best = heap[0];
      const last = heap.pop();
      if (last === undefined || heap.length === 0) return best;
      heap[0] = last;
      for (let at = 0; ; ) {
        let least = at;
        for (const child of [2 * at + 1, 2 * at + 2])
          if (child < heap.length && goesBefore(heap[child], heap[least])) least = child;
        if (least === at) return best;
        swap(at, least);
        at = least;
      }
    },
  };
}
