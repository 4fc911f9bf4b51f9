// The placement report for people, 80 columns wide.

import { formatCount, formatSi } from '../../../core/index.ts';
import type { Breakdown } from '../../../sim/index.ts';
import type { Io } from '../io.ts';
import { bar, label, percent, plural, wrap } from './layout.ts';
import type { PeMemory, PlacementReport, StageReport, ValidationReport } from './placement.ts';

type Paint = Io['paint'];

/** Columns of the longest bar: of all memory, and of the largest class of cycles. */
const BAR = 36;
const CYCLE_BAR = 20;

const memoryClasses: readonly { readonly key: keyof PeMemory; readonly name: string; readonly short: string }[] = [
  { key: 'reserved', name: 'code and buffers', short: 'code' },
  { key: 'weights', name: 'weights', short: 'weights' },
  { key: 'activations', name: 'activations', short: 'activations' },
  { key: 'kv', name: 'KV cache', short: 'KV' },
  { key: 'free', name: 'free', short: 'free' },
];

/** In the order of the path of a value: across the fabric, into the CE, through the arithmetic. */
const cycleClasses: readonly { readonly key: keyof Breakdown; readonly meaning: string }[] = [
  { key: 'hop', meaning: 'links crossed' },
  { key: 'ramp', meaning: 'router to CE and back' },
  { key: 'wavelet', meaning: 'values behind the first' },
  { key: 'step', meaning: 'steps of collectives' },
  { key: 'task', meaning: 'tasks that start' },
  { key: 'startup', meaning: 'vector start-ups' },
  { key: 'element', meaning: 'vector elements' },
  { key: 'loop', meaning: 'loops around vectors' },
  { key: 'division', meaning: 'divisions and roots' },
];

/** The whole report. */
export function renderPlacement(report: PlacementReport, paint: Paint): string {
  const { model, placement, decode, restsOn } = report;
  const heading = (text: string): string => paint('bold', text);
  const lines = [
    `${heading(`${model.name} on ${placement.target}`)}  ${paint('yellow', 'simulated, not measured')}`,
    '',
    ...outline(report),
    '',
    ...memory(placement, heading),
    '',
    heading(`Decode, one token at context ${formatCount(decode.context)}: ${cycleCount(decode.cycles)}`),
    ...cycleBars(decode.breakdown, decode.cycles),
    '',
    heading('Speed and energy (simulated)'),
    ...speed(report).map((line) => `  ${line}`),
    '',
    heading('What this rests on'),
    ...basis(report).map((text) => wrap(text, '    ', '  - ')),
  ];
  if (model.sizingOnly.length > 0) {
    lines.push('', wrap(`Sizing only: ${model.sizingOnly.join(', ')} cannot be executed yet.`, ''));
  }
  lines.push('', paint('dim', restsOn.validation.length > 0 ? 'Every published row: ingot validate' : ''));
  return `${lines.join('\n').trimEnd()}\n`;
}

/** A dozen lines, for a newcomer. */
export function renderPlacementShort(report: PlacementReport, paint: Paint): string {
  const { model, placement } = report;
  const fullest = fullestStage(placement.stages).memory;
  const parts = memoryClasses.map(({ key, short }) => `${short} ${formatCount(fullest[key])}`).join(' · ');
  const lines = [
    `${paint('bold', `${model.name} on ${placement.target}`)}  ${paint('yellow', 'simulated, not measured')}`,
    ...outline(report),
    wrap(`of ${formatCount(fullest.capacity)} B: ${parts}`, ' '.repeat(LABEL), label('SRAM per PE', '', LABEL)),
    ...speed(report),
    ...basisShort(report).map((text, i) => wrap(text, ' '.repeat(LABEL), label(i === 0 ? 'rests on' : '', '', LABEL))),
  ];
  return `${lines.join('\n')}\n`;
}

/** Width of the first column where a line is a name and a text. */
const LABEL = 14;

function outline({ model, numerics, placement }: PlacementReport): string[] {
  const { wafers, region, pesUsed, pesUsable, stages } = placement;
  const { weights, activations, kv } = numerics;
  const layers = stages.map(({ fromLayer, toLayer }) => toLayer - fromLayer);
  const [fewest, most] = [Math.min(...layers), Math.max(...layers)];
  const each = fewest === most ? `${most}` : `${fewest} or ${most}`;
  const spread =
    wafers === 1 ? `all ${model.layers} layers on it` : `${each} of ${model.layers} layers on each, one after another`;
  const same = activations === kv ? `${activations} activations and KV cache` : `${activations} activations, ${kv} KV`;
  return [
    label(
      'model',
      `${formatCount(model.parameters)} parameters, ${model.layers} layers, hidden ${formatCount(model.hidden)}`,
      LABEL,
    ),
    label('precision', `${weights} weights, ${same}`, LABEL),
    label('wafers', `${wafers}: ${spread}`, LABEL),
    label(
      'region',
      `${region.width} x ${region.height} = ${formatCount(pesUsed)} of ${formatCount(pesUsable)} PEs ` +
        `(${percent(pesUsed / pesUsable)})${wafers === 1 ? '' : ' of each wafer'}`,
      LABEL,
    ),
  ];
}

const cycleCount = (cycles: number): string => `${formatCount(Math.round(cycles))} cycles`;

const fullestStage = (stages: readonly StageReport[]): StageReport =>
  stages.reduce((fullest, next) => (next.memory.free < fullest.memory.free ? next : fullest));

function memory(placement: PlacementReport['placement'], heading: (text: string) => string): string[] {
  const { stages, kvTokens, kvTokensRoom } = placement;
  const { wafer, memory: fullest } = fullestStage(stages);
  const of = stages.length === 1 ? '' : `, wafer ${wafer + 1} of ${stages.length}`;
  const rows = memoryClasses.map(({ key, name }) => {
    const share = fullest[key] / fullest.capacity;
    return barLine(name, `${formatCount(fullest[key])} B`, share);
  });
  return [
    heading(`SRAM of the fullest PE${of}: ${formatCount(fullest.capacity)} B`),
    ...rows,
    `  KV cache of ${formatCount(kvTokens)} tokens over all sequences; room for ${formatCount(kvTokensRoom)}`,
    ...(stages.length === 1 ? [] : ['', ...stageTable(stages, heading)]),
  ];
}

const barLine = (name: string, amount: string, share: number): string =>
  `  ${name.padEnd(18)}${amount.padStart(11)}${percent(share).padStart(9)}  ${bar(share, BAR)}`.trimEnd();

/** One line for each run of wafers that are filled alike. */
function stageTable(stages: readonly StageReport[], heading: (text: string) => string): string[] {
  const runs: { from: number; to: number; stage: StageReport; layers: number }[] = [];
  for (const [i, stage] of stages.entries()) {
    const layers = stage.toLayer - stage.fromLayer;
    const last = runs.at(-1);
    if (last !== undefined && last.layers === layers && sameMemory(last.stage.memory, stage.memory)) last.to = i;
    else runs.push({ from: i, to: i, stage, layers });
  }
  // Layers that do not divide evenly alternate; a long list of near-equal lines tells nothing.
  const shown = runs.length <= MAX_RUNS ? runs : [...runs.slice(0, MAX_RUNS - 1), runs[runs.length - 1]];
  const head = ['wafers', 'layers', 'weights', 'activations', 'KV', 'free'];
  const cells = shown.map(({ from, to, stage, layers }) => [
    from === to ? `${from + 1}` : `${from + 1}-${to + 1}`,
    `${layers}`,
    ...[stage.memory.weights, stage.memory.activations, stage.memory.kv, stage.memory.free].map(formatCount),
  ]);
  const line = (row: readonly string[]): string =>
    `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(10) : cell.padStart(13))).join('')}`;
  const body = cells.map(line);
  if (shown.length < runs.length) body.splice(-1, 0, `  (${runs.length - shown.length} more kinds of fill)`);
  return [heading('Bytes of the fullest PE by wafer'), line(head), ...body];
}

const MAX_RUNS = 6;

const sameMemory = (a: PeMemory, b: PeMemory): boolean => memoryClasses.every(({ key }) => a[key] === b[key]);

function cycleBars(breakdown: Breakdown, total: number): string[] {
  const most = Math.max(...Object.values(breakdown));
  return cycleClasses
    .filter(({ key }) => breakdown[key] > 0)
    .map(({ key, meaning }) => {
      const amount = formatCount(Math.round(breakdown[key])).padStart(11);
      const share = percent(breakdown[key] / total).padStart(9);
      return `  ${key.padEnd(10)}${amount}${share}  ${bar(breakdown[key] / most, CYCLE_BAR).padEnd(CYCLE_BAR)}  ${meaning}`;
    });
}

function speed({ placement, decode, prefill, restsOn }: PlacementReport): string[] {
  const { wafers } = placement;
  const rate = (tokens: number): string => formatCount(tokens < 100 ? Number(tokens.toFixed(1)) : Math.round(tokens));
  const others = decode.others.map((o) => `${rate(o.tokensPerSecond)} at ${formatCount(o.context)}`);
  const power = formatSi(restsOn.systemPower.value * wafers, 'W');
  return [
    label(
      'per token',
      `${cycleCount(decode.cycles)} + ${formatSi(decode.ioSeconds, 's')} of links = ${formatSi(decode.secondsPerToken, 's')}`,
      LABEL,
    ),
    label(
      'tokens/s',
      `${rate(decode.tokensPerSecond)} at context ${formatCount(decode.context)}${others.length > 0 ? ` (${others.join(', ')})` : ''}, one user`,
      LABEL,
    ),
    label(
      'first token',
      `${formatSi(prefill.timeToFirstToken, 's')} after a prompt of ${formatCount(prefill.promptTokens)} tokens, no queue`,
      LABEL,
    ),
    label(
      'energy',
      `${formatSi(decode.joulesPerToken, 'J')} a token with ${wafers} ${plural(wafers, 'system')} at rated power (${power})`,
      LABEL,
    ),
  ];
}

const gigahertz = (hertz: number): string => `${Number((hertz / 1e9).toFixed(3))} GHz`;

const clockText = ({ restsOn: { clock } }: PlacementReport): string => {
  const others = [...new Set((clock.fact.disputed ?? []).map(({ value }) => value))].sort((a, b) => a - b);
  const span = [clock.slowest, clock.fastest]
    .map(({ hertz, tokensPerSecond }) => `${formatCount(Math.round(tokensPerSecond))} tokens/s at ${gigahertz(hertz)}`)
    .join(', ');
  const standing = clock.given
    ? `set by --clock; Ingot's own is ${gigahertz(clock.fact.value)} (${clock.fact.standing})`
    : clock.fact.standing;
  return (
    `Clock ${gigahertz(clock.hertz)}, ${standing}. Sources disagree (also ` +
    `${others.map((value) => Number((value / 1e9).toFixed(3))).join(', ')} GHz): ${span}.`
  );
};

const validationText = ({ group, mean, worst, predictedRows, chosenRows, kinds }: ValidationReport): string => {
  const what: Record<string, string> = {
    decode: 'Decode, cycles per layer',
    capacity: 'Capacity, tokens, wafers and parameters',
    service: 'Service, tokens/s per user',
  };
  const chosen = chosenRows.length === 0 ? '' : `; constants were chosen from ${chosenRows.join(', ')}`;
  return (
    `${what[group] ?? group}: off by ${percent(mean)} on average, ${percent(worst)} at worst, on published rows ` +
    `${predictedRows.join(', ')} (${kinds.join(', ')})${chosen}.`
  );
};

function basis(report: PlacementReport): string[] {
  const { restsOn, decode } = report;
  const { reservedSram, systemPower, assumed } = restsOn;
  const others = (systemPower.disputed ?? []).map(({ value }) => formatSi(value, 'W')).join(', ');
  return [
    `${capital(restsOn.basis)}.`,
    clockText(report),
    ...restsOn.validation.map(validationText),
    ...(placementIsFp16(report)
      ? []
      : ['Those rows are fp16; this program computes in fp32, for which no row was published.']),
    'Prefill through the decode placement: closed form only, no row was published.',
    `Reserve of ${formatCount(reservedSram.value)} B (${reservedSram.standing}): ${reservedSram.basis}.`,
    `Rated power ${formatSi(systemPower.value, 'W')} per system (${systemPower.standing}${others === '' ? '' : `; others say ${others}`}), drawn all the time by every system for one user at context ${formatCount(decode.context)}.`,
    ...(assumed.length === 0 ? [] : [assumedText(report)]),
  ];
}

const assumedText = ({ placement, restsOn }: PlacementReport): string => {
  const facts = restsOn.assumed.map(({ name, value, unit }) => {
    if (unit === 's') return `${name} ${formatSi(value, unit)}`;
    return `${name} ${formatCount(value)} ${value === 1 ? unit.replace(/s(?=$|\/)/, '') : unit}`;
  });
  return `Assumed for lack of a source on ${placement.target}: ${facts.join(', ')}.`;
};

function basisShort({ restsOn }: PlacementReport): string[] {
  const { clock, validation, reservedSram } = restsOn;
  const off = validation
    .map(({ group, mean, worst }) => `${group} off by ${percent(mean)} on average, ${percent(worst)} at worst`)
    .join('; ');
  return [
    `closed form at ${gigahertz(clock.hertz)} (${clock.given ? 'set by --clock' : clock.fact.standing}, disputed); ` +
      `${formatCount(reservedSram.value)} B per PE reserved (${reservedSram.standing})`,
    `published rows: ${off} (ingot validate); prefill has none`,
  ];
}

const placementIsFp16 = ({ numerics }: PlacementReport): boolean => numerics.activations === 'fp16';

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
