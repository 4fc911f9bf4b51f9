// What `ingot port` prints, 80 columns wide.

import { formatCount, formatSi } from '../../../core/index.ts';
import { weightsText } from '../../../wafer/index.ts';
import type { Io } from '../io.ts';
import { cellLines, lineIn, percent, plural, wrap } from './layout.ts';
import { holds } from './placement-text.ts';
import type { Alternative, HotSpots, Outcome, PortReport, TensorClass } from './port.ts';

const COLUMN = 14;

export function renderPort(report: PortReport, paint: Io['paint']): string {
  const { model, numerics, ops, classes, placement, refused, decode, prefill, alternatives } = report;
  const heading = (text: string): string => paint('bold', text);
  const line = lineIn(COLUMN);
  const lines = [
    `${heading(`${model.name}: porting to ${report.target}`)}  ${paint('yellow', 'simulated, not measured')}`,
    line('model', `${model.arch}, ${formatCount(model.parameters)} parameters, ${formatCount(model.layers)} layers`),
    line('precision', `${weightsText(numerics)} weights, ${numerics.activations} activations, ${numerics.kv} KV cache`),
    line('KV cache', `room for ${formatCount(report.kvTokens)} tokens asked for, over all sequences`),
    '',
    heading('Ops of the graph, and how each becomes a program of PEs'),
    ...table(
      ['ops', 'kind', 'how', ''],
      ops.map(({ kind, count, how, why }) => [formatCount(count), kind, how, why]),
      [1, 2, 3],
    ),
    '',
    heading('Tensors by class, and how they are held'),
    ...classTable(classes),
    '',
  ];
  if (placement === undefined) {
    lines.push(heading('Placement'), paint('red', wrap(`Does not fit: ${refused?.message ?? ''}.`, '  ')));
    if (refused?.found !== undefined) lines.push(wrap(`found: ${refused.found}`, '    '));
  } else lines.push(...placementLines(placement, heading));
  for (const [name, spots] of [
    ['decode', decode],
    ['prefill', prefill],
  ] as const)
    if (spots !== undefined) lines.push('', ...spotLines(name, spots, heading));
  if (alternatives.length > 0)
    lines.push('', heading('What a change would give, each by itself'), ...changeLines(alternatives, placement));
  lines.push('', heading('Not checked'), ...report.notChecked.map((text) => wrap(text, '    ', '  - ')));
  return `${lines.join('\n')}\n`;
}

const table = (head: readonly string[], rows: readonly (readonly string[])[], texts: readonly number[]): string[] =>
  cellLines(head, rows, (column) => texts.includes(column));

function classTable(classes: readonly TensorClass[]): string[] {
  const all = classes.reduce((sum, { bytes }) => sum + bytes, 0);
  const cells = (name: string, tensors: number, parameters: number, format: string, bytes: number, regions: string) => [
    name,
    formatCount(tensors),
    formatCount(parameters),
    format,
    formatSi(bytes, 'B'),
    percent(bytes / all),
    regions,
  ];
  const rows = classes.map(({ role, tensors, parameters, format, bytes, regions }) =>
    cells(
      tensors === 0 ? `${role} (tied)` : role,
      tensors,
      parameters,
      format,
      bytes,
      regions === undefined ? '-' : formatCount(regions),
    ),
  );
  const sum = (key: 'tensors' | 'parameters'): number => classes.reduce((total, line) => total + line[key], 0);
  return table(
    ['class', 'tensors', 'parameters', 'held in', 'bytes', 'share', 'regions'],
    [...rows, cells('all', sum('tensors'), sum('parameters'), '', all, '')],
    [0, 3],
  );
}

function placementLines(placement: NonNullable<PortReport['placement']>, heading: (text: string) => string): string[] {
  const { wafers, regions, fullest, fullestHolds, secondsPerToken, tokensPerSecond, kvTokensRoom } = placement;
  const { capacity, ...parts } = fullest;
  const memory = Object.entries(parts).map(([name, bytes]) => `${name === 'kv' ? 'KV' : name} ${formatCount(bytes)}`);
  const line = (name: string, text: string): string => lineIn(COLUMN + 2)(`  ${name}`, text);
  return [
    heading('Placement'),
    line(
      'wafers',
      `${formatCount(wafers)}, in ${formatCount(regions)} ${plural(regions, 'region')}; room for ${formatCount(kvTokensRoom)} cached tokens`,
    ),
    line('SRAM per PE', `of ${formatCount(capacity)} B on the fullest (${holds(fullestHolds)}): ${memory.join(' · ')}`),
    line(
      'one user',
      `${formatSi(secondsPerToken, 's')} a token, ${formatCount(Math.round(1 / secondsPerToken))} tokens/s`,
    ),
    line('many users', `${formatCount(Math.round(tokensPerSecond))} tokens/s, as KV allows`),
    line(
      'first token',
      `${formatSi(placement.timeToFirstToken, 's')} after a prompt of ${formatCount(placement.promptTokens)} tokens, no queue`,
    ),
  ];
}

const spotNames = { decode: 'Hot spots of decode', prefill: 'Hot spots of prefill' } as const;

function spotLines(name: keyof typeof spotNames, spots: HotSpots, heading: (text: string) => string): string[] {
  const { tokens, cached, cycles, kernels, causes } = spots;
  const step = `${formatCount(tokens)} ${plural(tokens, 'token')} behind ${formatCount(cached)}`;
  const rows = kernels.map(({ kernel, kinds, cycles: own, share, dominated, dominatedShare }) => [
    kernel,
    kinds.join(', '),
    formatCount(Math.round(own)),
    percent(share),
    `${dominated} ${percent(dominatedShare)}`,
  ]);
  const listed = kernels.reduce((sum, kernel) => sum + kernel.cycles, 0);
  const rest = cycles - listed;
  if (rest > 0.5) rows.push(['other kernels', '', formatCount(Math.round(rest)), percent(rest / cycles), '']);
  const parts = Object.entries(causes)
    .filter(([, amount]) => amount > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([cause, amount]) => `${cause} ${((100 * amount) / cycles).toFixed(1)}`);
  return [
    heading(`${spotNames[name]}, ${step}: ${formatCount(Math.round(cycles))} cycles`),
    ...table(['writes', 'kind', 'cycles', 'share', 'mostly'], rows, [0, 1, 4]),
    wrap(`in %: ${parts.join(' · ')}`, '  '),
  ];
}

/** A figure with what it is of the one that it is compared with. */
const against = (value: number, base: number | undefined): string =>
  base === undefined || base === 0 ? '' : ` (x${(value / base).toFixed(2)})`;

function changeLines(alternatives: readonly Alternative[], base: Outcome | undefined): string[] {
  const micro = (seconds: number): string => formatCount(Number((seconds * 1e6).toFixed(1)));
  const cells = (name: string, { wafers, secondsPerToken, tokensPerSecond, kvTokensRoom }: Outcome, own?: Outcome) => [
    name,
    formatCount(wafers),
    `${micro(secondsPerToken)}${against(secondsPerToken, own?.secondsPerToken)}`,
    `${formatCount(Math.round(tokensPerSecond))}${against(tokensPerSecond, own?.tokensPerSecond)}`,
    formatCount(kvTokensRoom),
  ];
  const fitting = alternatives.flatMap(({ change, outcome }) =>
    outcome === undefined ? [] : [cells(change, outcome, base)],
  );
  const refused = alternatives.filter(({ outcome }) => outcome === undefined);
  const rows = [...(base === undefined ? [] : [cells('as asked for', base)]), ...fitting];
  return [
    ...(rows.length === 0 ? [] : table(['change', 'wafers', 'µs/token', 'all, tokens/s', 'KV tokens'], rows, [0])),
    ...(refused.length === 0 ? [] : [wrap(`Does not fit: ${refused.map(({ change }) => change).join('; ')}.`, '  ')]),
    ...(fitting.length === 0
      ? [wrap('None of these fits by itself: combine them, or take a smaller model.', '  ')]
      : [wrap('Ask for one with the same options of "ingot compile"; --json lists those of each.', '  ')]),
  ];
}
