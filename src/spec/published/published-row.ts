import { IngotError, nearest, type Diagnostic } from '../../core/index.ts';

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** One number that others measured or claimed, with the conditions under which it holds. */
export interface PublishedRow {
  /** Short and unique, e.g. `D01`. */
  readonly id: string;
  /** What kind of work: `collective`, `vector`, `gemv`, `gemm`, `decode`, `prefill`, `capacity`, `end-to-end`, `service`. */
  readonly group: string;
  readonly quantity: string;
  /** Everything that decides the value, by name; which names matter depends on the group. */
  readonly conditions: Readonly<Record<string, JsonValue>>;
  /** In `unit`, which is what a prediction is compared in. */
  readonly value: number;
  readonly unit: string;
  /** The figure as printed, where `value` is arithmetic on it. */
  readonly published?: { readonly value: number; readonly unit: string };
  /** Who says so: `device`, `vendor-simulator`, `vendor-claim`. */
  readonly kind: string;
  readonly source: string;
}

export const MAX_ROWS = 10_000;
/** Characters of one text of a row. */
export const MAX_TEXT = 1_000;
/** Values, nested ones included, in the conditions of one row. */
export const MAX_CONDITIONS = 1_000;
/** Characters of a path into the conditions that a message repeats. */
const MAX_PATH = 200;
/** Diagnostics that one refusal reports; the rest are only counted. */
const MAX_REPORTED = 20;

const texts = ['id', 'group', 'quantity', 'unit', 'kind', 'source'] as const;
const rowKeys: readonly string[] = [...texts, 'conditions', 'value', 'published'];
const publishedKeys: readonly string[] = ['value', 'unit'];

/**
 * Rows of a validation table from parsed JSON: an array of objects with exactly the keys of `PublishedRow`.
 * @throws IngotError ROWS_INVALID, one diagnostic for each row and key at fault, up to 20
 */
export function parsePublishedRows(json: unknown): PublishedRow[] {
  if (!Array.isArray(json)) return refuse([problem('the table', 'is not a list of rows', 'a JSON array', json)]);
  if (json.length > MAX_ROWS)
    return refuse([problem('the table', 'has too many rows', `at most ${MAX_ROWS}`, json.length)]);

  const problems: Diagnostic[] = [];
  const firstUse = new Map<string, number>();
  json.forEach((row: unknown, index) => {
    checkRow(row, index, problems);
    const id = isRecord(row) ? row.id : undefined;
    if (typeof id !== 'string') return;
    const first = firstUse.get(id);
    if (first === undefined) firstUse.set(id, index);
    else problems.push(problem(`row ${index} (${id}), key "id"`, `repeats the id of row ${first}`, 'a unique id', id));
  });
  if (problems.length > 0) return refuse(problems);
  return json as PublishedRow[];
}

function checkRow(row: unknown, index: number, problems: Diagnostic[]): void {
  if (!isRecord(row)) {
    problems.push(problem(`row ${index}`, 'is not an object', 'a JSON object', row));
    return;
  }
  const name = `row ${index}${isText(row.id) ? ` (${row.id})` : ''}`;
  const report = (key: string, message: string, expected: string, found: unknown): void => {
    problems.push(problem(`${name}, key "${shorten(key, MAX_PATH)}"`, message, expected, found));
  };

  checkKeys(row, rowKeys, name, problems);
  for (const key of texts) {
    if (!isText(row[key])) report(key, 'is not a text', `1 to ${MAX_TEXT} characters`, row[key]);
  }
  if (!isNumber(row.value)) report('value', 'is not a number', 'a finite number', row.value);

  if (!isRecord(row.conditions)) report('conditions', 'is not an object', 'a JSON object', row.conditions);
  else checkConditions(row.conditions, report);

  const { published } = row;
  if (published === undefined) return;
  if (!isRecord(published)) return report('published', 'is not an object', '{ value, unit }', published);
  checkKeys(published, publishedKeys, `${name}, key "published"`, problems);
  if (!isNumber(published.value)) report('published.value', 'is not a number', 'a finite number', published.value);
  if (!isText(published.unit)) report('published.unit', 'is not a text', `1 to ${MAX_TEXT} characters`, published.unit);
}

/** Walks without recursion, so that deep nesting cannot exhaust the stack. */
function checkConditions(
  conditions: Record<string, unknown>,
  report: (key: string, message: string, expected: string, found: unknown) => void,
): void {
  const open: [string, unknown][] = Object.entries(conditions).map(([key, value]) => [`conditions.${key}`, value]);
  let seen = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [path, value] = next;
    seen += 1;
    if (seen + open.length > MAX_CONDITIONS)
      return report('conditions', 'holds too many values', `at most ${MAX_CONDITIONS}`, seen + open.length);
    if (Array.isArray(value)) value.forEach((item: unknown, i) => open.push([`${path}[${i}]`, item]));
    else if (isRecord(value)) for (const [key, item] of Object.entries(value)) open.push([`${path}.${key}`, item]);
    else if (typeof value === 'string') {
      if (value.length > MAX_TEXT) report(path, 'is too long', `at most ${MAX_TEXT} characters`, value);
    } else if (!isNumber(value) && typeof value !== 'boolean' && value !== null)
      report(path, 'is not a JSON value', 'text, finite number, boolean, null, list or object', value);
  }
}

function checkKeys(
  record: Record<string, unknown>,
  known: readonly string[],
  name: string,
  problems: Diagnostic[],
): void {
  for (const key of Object.keys(record)) {
    if (known.includes(key)) continue;
    const near = nearest(shorten(key), known);
    problems.push({
      ...problem(`${name}, key "${shorten(key)}"`, 'is not a key of a row', `one of ${known.join(', ')}`, key),
      ...(near === undefined ? {} : { suggestion: `Did you mean "${near}"?` }),
    });
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.trim() !== '' && value.length <= MAX_TEXT;
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

const problem = (where: string, message: string, expected: string, found: unknown): Diagnostic => ({
  code: 'ROWS_INVALID',
  message: `${where} ${message}.`,
  where,
  expected,
  found: describe(found),
  suggestion: 'Compare the row with the table that ships with Ingot, src/spec/published/wafer.json.',
});

/** What was found, short whatever its size. */
function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (isRecord(value)) return 'an object';
  return typeof value === 'string' ? JSON.stringify(shorten(value)) : String(value);
}

const shorten = (text: string, length = 40): string => (text.length > length ? `${text.slice(0, length)}…` : text);

function refuse(problems: readonly Diagnostic[]): never {
  const rest = problems.length - MAX_REPORTED;
  const shown = problems.slice(0, MAX_REPORTED);
  if (rest > 0) {
    shown.push({ code: 'ROWS_INVALID', message: `${rest} more problems in this table are not listed.` });
  }
  throw new IngotError(shown);
}
