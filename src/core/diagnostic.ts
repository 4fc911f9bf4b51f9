// A diagnostic is a value, so that many can be collected and reported at once and each can be tested
// as text. Codes are stable: scripts and people may rely on them.

export interface Diagnostic {
  /** Stable, upper snake case, e.g. `CHECKPOINT_TENSOR_MISSING`. */
  readonly code: string;
  /** One sentence: what is wrong. */
  readonly message: string;
  /** File, key, offset, PE or option that the message is about. */
  readonly where?: string;
  readonly expected?: string;
  readonly found?: string;
  /** What the person can do about it. */
  readonly suggestion?: string;
}

/** Thrown for bad input. Impossible states use `assert` instead. */
export class IngotError extends Error {
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: Diagnostic | readonly Diagnostic[], options?: { cause?: unknown }) {
    const list = Array.isArray(diagnostics) ? diagnostics : [diagnostics as Diagnostic];
    super(list.map((d) => `${d.code}: ${d.message}`).join('\n'), options);
    this.name = 'IngotError';
    this.diagnostics = list;
  }

  /** Code of the first diagnostic. */
  get code(): string {
    return this.diagnostics[0]?.code ?? 'UNKNOWN';
  }
}

/** Throw one diagnostic. */
export function fail(diagnostic: Diagnostic): never {
  throw new IngotError(diagnostic);
}

/** Holds for every correct program; a failure is a defect of Ingot, not of its input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** The text a person sees, one field a line. */
export function formatDiagnostic(d: Diagnostic): string {
  const lines = [`error ${d.code}: ${d.message}`];
  if (d.where !== undefined) lines.push(`  where: ${d.where}`);
  if (d.expected !== undefined) lines.push(`  expected: ${d.expected}`);
  if (d.found !== undefined) lines.push(`  found: ${d.found}`);
  if (d.suggestion !== undefined) lines.push(`  suggestion: ${d.suggestion}`);
  return lines.join('\n');
}

/** Names are shorter, and the distance costs the product of both lengths; what is longer is no typo of a name. */
const MAX_NAME_LENGTH = 100;

/** Nearest candidate by edit distance, if near enough to be a likely typo. None for names over 100 characters. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length > MAX_NAME_LENGTH) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    // The distance is at least the difference of the lengths.
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue;
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** The question to a person who wrote a name that is not there: `did you mean "…"?`, if one is near enough. */
export function didYouMean(name: string, candidates: Iterable<string>): string | undefined {
  const near = nearest(name, candidates);
  return near === undefined ? undefined : `did you mean "${near}"?`;
}

/** Levenshtein distance (Wagner and Fischer 1974), two rows. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substitution, previous[j] + 1, current[j - 1] + 1));
    }
    previous = current;
  }
  return previous[b.length];
}
