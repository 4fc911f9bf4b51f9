// The text format read back, and the rules of promtool's `check metrics`, written from the published ones of
// Prometheus' promlint (client_golang, prometheus/testutil/promlint/validations): for machines that have no promtool.

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
}

/** @throws Error where a line is none of the format, or a sample comes before its TYPE */
export function parseExposition(text: string): Family[] {
  const families: Family[] = [];
  const help = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, keyword, name, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      help.set(name, rest);
      continue;
    }
    if (keyword === 'TYPE') {
      if (families.some((family) => family.name === name)) throw new Error(`a second ${name}`);
      families.push({ name, type: rest, help: help.get(name) ?? '', samples: [] });
      continue;
    }
    const [, sample, labels = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    const family = families.at(-1);
    if (sample === undefined || family === undefined) throw new Error(`not of the format: ${line}`);
    const suffixes = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    if (!suffixes.some((suffix) => sample === family.name + suffix)) throw new Error(`${sample} in ${family.name}`);
    family.samples.push({ name: sample, labels: labelsOf(labels), value: value === '+Inf' ? Infinity : Number(value) });
  }
  return families;
}

const labelsOf = (text: string): Record<string, string> =>
  Object.fromEntries([...text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));

const METRIC_TYPES = ['untyped', 'gauge', 'counter', 'histogram', 'summary'];
const ABBREVIATIONS = 's ms us ns sec b kb mb gb tb pb m h d'.split(' ');
/** To the base unit. */
const UNITS: Readonly<Record<string, string>> = {
  minutes: 'seconds',
  hours: 'seconds',
  days: 'seconds',
  weeks: 'seconds',
  kelvins: 'celsius',
  fahrenheit: 'celsius',
  rankine: 'celsius',
  inches: 'meters',
  yards: 'meters',
  miles: 'meters',
  bits: 'bytes',
  calories: 'joules',
  pounds: 'grams',
  ounces: 'grams',
  percent: 'ratio',
  percents: 'ratio',
};
const PREFIXES = 'pico nano micro milli centi deci deca hecto kilo kibi mega mibi giga gibi tera tebi peta pebi'.split(
  ' ',
);
const BASES = 'amperes bytes celsius grams joules kelvin meters metres moles seconds volts'.split(' ');

/** What promtool would say, one sentence each. */
export function lint(families: readonly Family[]): string[] {
  const problems: string[] = [];
  for (const { name, type, help, samples } of families) {
    const say = (problem: string): void => void problems.push(`${name} ${problem}`);
    const words = name.split('_');
    if (help === '') say('no help text');
    if (name.includes(':')) say("metric names should not contain ':'");
    if (/[a-z][A-Z]/.test(name)) say("metric names should be written in 'snake_case' not 'camelCase'");
    for (const word of words) {
      if (METRIC_TYPES.includes(word)) say(`metric name should not include type '${word}'`);
      if (ABBREVIATIONS.includes(word)) say('metric names should not contain abbreviated units');
      if (UNITS[word] !== undefined) say(`use base unit "${UNITS[word]}" instead of "${word}"`);
      const prefix = PREFIXES.find((each) => BASES.includes(word.slice(each.length)) && word.startsWith(each));
      if (prefix !== undefined) say(`use base unit "${word.slice(prefix.length)}" instead of "${word}"`);
    }
    if (type === 'counter' && !name.endsWith('_total')) say('counter metrics should have "_total" suffix');
    if (type !== 'counter' && name.endsWith('_total')) say('non-counter metrics should not have "_total" suffix');
    for (const suffix of ['_bucket', '_count', '_sum'])
      if (name.endsWith(suffix)) say(`non-histogram and non-summary metrics should not have "${suffix}" suffix`);
    for (const label of new Set(samples.flatMap(({ labels }) => Object.keys(labels)))) {
      if (/[a-z][A-Z]/.test(label)) say("label names should be written in 'snake_case' not 'camelCase'");
      if (label === 'le' && type !== 'histogram') say('non-histogram metrics should not have "le" label');
      if (label === 'quantile') say('non-summary metrics should not have "quantile" label');
    }
  }
  return problems;
}

/** Where a histogram's buckets, count and sum do not agree. */
export function inconsistent(families: readonly Family[]): string[] {
  const problems: string[] = [];
  for (const { name, type, samples } of families) {
    if (type !== 'histogram') continue;
    const series = new Map<string, typeof samples>();
    for (const sample of samples) {
      const { le: _, ...rest } = sample.labels;
      const key = JSON.stringify(rest);
      series.set(key, [...(series.get(key) ?? []), sample]);
    }
    for (const [key, of] of series) {
      const buckets = of.filter((sample) => sample.name === `${name}_bucket`);
      const count = of.find((sample) => sample.name === `${name}_count`);
      const bounds = buckets.map(({ labels }) => (labels['le'] === '+Inf' ? Infinity : Number(labels['le'])));
      const rises = (values: readonly number[]): boolean => values.every((v, i) => i === 0 || v >= values[i - 1]);
      const holds =
        bounds.at(-1) === Infinity &&
        rises(bounds) &&
        rises(buckets.map(({ value }) => value)) &&
        buckets.at(-1)?.value === count?.value &&
        of.some((sample) => sample.name === `${name}_sum`);
      if (!holds) problems.push(`${name} ${key}`);
    }
  }
  return problems;
}
