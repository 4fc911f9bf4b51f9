// The placement report for people, 80 columns wide.

import { formatCount, formatSi } from '../../../core/index.ts';
import type { Breakdown } from '../../../sim/index.ts';
import { pruningText } from '../../../model/index.ts';
import { weightsText } from '../../../wafer/index.ts';
import type { Io } from '../io.ts';
import { bar, cellLines, lineIn, percent, plural, wrap } from './layout.ts';
import type { PeMemory, PlacementReport, StageReport, ValidationReport, WholeHeads } from './placement.ts';

type Paint = Io['paint'];

/** Columns of the longest bar: of all memory, and of the largest class of cycles. */
const BAR = 36;
const CYCLE_BAR = 20;

const memoryClasses: readonly { readonly key: keyof PeMemory; readonly name: string; readonly short: string }[] = [
  { key: 'system', name: 'system', short: 'system' },
  { key: 'code', name: 'code', short: 'code' },
  { key: 'weights', name: 'weights', short: 'weights' },
  { key: 'padding', name: 'padding of columns', short: 'padding' },
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
    heading('Regions in the order of a token, bytes of a PE, time of a token'),
    ...regionTable(placement.stages),
    '',
    ...memory(placement, heading),
    '',
    heading(`Decode, one token at context ${formatCount(decode.context)}: ${cycleCount(decode.cycles)}`),
    ...cycleBars(decode.breakdown, decode.cycles),
    '',
    heading('Speed and energy (simulated)'),
    ...speed(report).map((line) => `  ${line}`),
    '',
    ...(placement.search === undefined
      ? []
      : [
          heading('Placements that no other beats in everything, of those that fit'),
          ...frontierTable(placement.search),
          '',
        ]),
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
    line('SRAM per PE', `of ${formatCount(fullest.capacity)} B: ${parts}`),
    ...speed(report),
    ...basisShort(report).map((text, i) => line(i === 0 ? 'rests on' : '', text)),
  ];
  return `${lines.join('\n')}\n`;
}

/** Width of the first column where a line is a name and a text. */
const LABEL = 14;
const line = lineIn(LABEL);
/** The same, not wrapped. */
const figure = (name: string, text: string): string => name.padEnd(LABEL) + text;

const meshText = ({ width, height }: { readonly width: number; readonly height: number }): string =>
  `${width} x ${height}`;

const objectiveText: Readonly<Record<PlacementReport['placement']['objective'], string>> = {
  wafers: 'the fewest wafers, then the shortest request of one user',
  latency: 'the shortest request of one user',
  throughput: 'the most tokens/s for each wafer, over many users',
};

function outline({ model, numerics, pruning, placement }: PlacementReport): string[] {
  const { wafers, pesUsed, pesUsable, stages, objective, maxLatency, search } = placement;
  const { activations, kv } = numerics;
  const same = activations === kv ? `${activations} activations and KV cache` : `${activations} activations, ${kv} KV`;
  const holding = stages.filter(({ fromLayer, toLayer }) => toLayer > fromLayer);
  const layers = holding.map(({ fromLayer, toLayer }) => toLayer - fromLayer);
  const [fewest, most] = [Math.min(...layers), Math.max(...layers)];
  const each = fewest === most ? `${most} ${plural(most, 'layer')}` : `${fewest} or ${most} layers`;
  const shape = meshText(holding[0].region);
  const bound = maxLatency === undefined ? '' : `, at most ${formatSi(maxLatency, 's')} a token`;
  return [
    figure(
      'model',
      `${formatCount(model.parameters)} parameters, ${model.layers} layers, hidden ${formatCount(model.hidden)}`,
    ),
    line('precision', `${weightsText(numerics)} weights, ${same}`),
    ...(pruning === undefined ? [] : [figure('pruned', pruningText(pruning))]),
    figure(
      'wafers',
      `${wafers}, ${formatCount(pesUsed)} of ${formatCount(pesUsable)} PEs in use (${percent(pesUsed / pesUsable)})`,
    ),
    figure('layers', `${each} on each of ${holding.length} ${plural(holding.length, 'region')} of ${shape} PEs`),
    ...(search === undefined
      ? []
      : [
          line(
            'objective',
            `${objectiveText[objective]}${bound}; ${formatCount(search.fitting)} of ${formatCount(search.tried)} placements fit`,
          ),
        ]),
    ...(placement.defects === undefined ? [] : [defectLine(placement.defects)]),
  ];
}

function defectLine({
  from,
  deadPes,
  deadLinks,
  worstDetour,
}: NonNullable<PlacementReport['placement']['defects']>): string {
  const origin = 'file' in from ? `of ${from.file}` : `drawn with seed ${from.seed}`;
  return line(
    'defects',
    `${deadPes} dead ${plural(deadPes, 'PE')} and ${deadLinks} dead ${plural(deadLinks, 'link')} a wafer, ${origin}; ` +
      `repaired, an all-reduce takes up to ${worstDetour} hops more in a region`,
  );
}

const cycleCount = (cycles: number): string => `${formatCount(Math.round(cycles))} cycles`;

const fullestStage = (stages: readonly StageReport[]): StageReport =>
  stages.reduce((fullest, next) => (next.memory.free < fullest.memory.free ? next : fullest));

type Held = Pick<StageReport, 'fromLayer' | 'toLayer' | 'hasEmbedding' | 'hasHead'>;

/** What a region holds, in words. */
export const holds = ({ fromLayer, toLayer, hasEmbedding, hasHead }: Held): string =>
  [
    ...(hasEmbedding ? ['embedding'] : []),
    ...(toLayer - fromLayer === 1 ? [`layer ${fromLayer}`] : []),
    ...(toLayer - fromLayer > 1 ? [`layers ${fromLayer}-${toLayer - 1}`] : []),
    ...(hasHead ? ['head'] : []),
  ].join(', ');

function memory(placement: PlacementReport['placement'], heading: (text: string) => string): string[] {
  const { stages, kvTokens, kvTokensRoom, histogram, pesUsable } = placement;
  const fullest = fullestStage(stages);
  const where = stages.length === 1 ? '' : ` (${holds(fullest)})`;
  const rows = memoryClasses.map(({ key, name }) => {
    const share = fullest.memory[key] / fullest.memory.capacity;
    return barLine(name, `${formatCount(fullest.memory[key])} B`, share);
  });
  const most = Math.max(...histogram.map(({ pes }) => pes));
  const bins = histogram.map(({ from, to, pes }) => {
    const name = to === 0 ? 'in no region' : `${from / 1024} to ${to / 1024} KiB`;
    const amount = formatCount(pes).padStart(13);
    return `  ${name.padEnd(16)}${amount}${percent(pes / pesUsable).padStart(9)}  ${bar(pes / most, BAR)}`.trimEnd();
  });
  return [
    heading(`SRAM of the fullest PE${where}: ${formatCount(fullest.memory.capacity)} B`),
    ...rows,
    `  KV cache of ${formatCount(kvTokens)} tokens over all sequences; room for ${formatCount(kvTokensRoom)}`,
    '',
    heading('PEs by SRAM in use'),
    ...bins,
  ];
}

const barLine = (name: string, amount: string, share: number): string =>
  `  ${name.padEnd(18)}${amount.padStart(11)}${percent(share).padStart(9)}  ${bar(share, BAR)}`.trimEnd();

/** One line for each run of regions that are alike on one wafer or on several. */
function regionTable(stages: readonly StageReport[]): string[] {
  const runs: { first: StageReport; last: StageReport; regions: number }[] = [];
  for (const stage of stages) {
    const run = runs.at(-1);
    if (run === undefined || !isAlike(run.last, stage)) {
      runs.push({ first: stage, last: stage, regions: 1 });
      continue;
    }
    run.last = stage;
    run.regions++;
  }
  // Layers that do not divide evenly alternate; a long list of near-equal lines tells nothing.
  const shown = runs.length <= MAX_RUNS ? runs : [...runs.slice(0, MAX_RUNS - 1), runs[runs.length - 1]];
  const cells = shown.map(({ first, last, regions }) => [
    first.wafer === last.wafer ? `${first.wafer + 1}` : `${first.wafer + 1}-${last.wafer + 1}`,
    `${regions}`,
    meshText(first.region),
    holds({ ...first, toLayer: last.toLayer }),
    formatCount(first.memory.weights),
    formatCount(first.memory.free),
    (first.secondsPerToken * 1e6).toFixed(1),
  ]);
  const body = cellLines(
    ['wafer', 'regions', 'PEs of each', 'holds', 'weights', 'free', 'µs'],
    cells,
    (column) => column === 3,
  );
  if (shown.length < runs.length) body.splice(-1, 0, `  (${runs.length - shown.length} more kinds of region)`);
  return body;
}

const MAX_RUNS = 8;

const isAlike = (a: StageReport, b: StageReport): boolean =>
  meshText(a.region) === meshText(b.region) &&
  a.toLayer - a.fromLayer === b.toLayer - b.fromLayer &&
  a.hasEmbedding === b.hasEmbedding &&
  a.hasHead === b.hasHead &&
  memoryClasses.every(({ key }) => a.memory[key] === b.memory[key]);

/** Rows of the table: the chosen placement, and of the others some from end to end. */
const MAX_CHOICES = 10;

function frontierTable({ frontier }: NonNullable<PlacementReport['placement']['search']>): string[] {
  const step = Math.max(1, (frontier.length - 1) / (MAX_CHOICES - 1));
  const picked = new Set(Array.from({ length: MAX_CHOICES }, (_, i) => Math.round(i * step)));
  const shown = frontier.filter((choice, i) => choice.isChosen || picked.has(i));
  const rows = shown.map((choice) => [
    choice.isChosen ? '*' : '',
    `${choice.wafers}`,
    meshText(choice.region),
    `${choice.layersPerRegion}`,
    `${choice.prefillChunk}`,
    (choice.secondsPerToken * 1e6).toFixed(0),
    (choice.secondsPerPromptToken * 1e6).toFixed(1),
    formatCount(Math.round(choice.tokensPerSecond)),
    formatCount(choice.kvTokensRoom),
  ]);
  const head = ['', 'wafers', 'region', 'layers', 'chunk', 'µs/token', 'µs/prompt', 'all, /s', 'KV tokens'];
  const more = frontier.length - shown.length;
  return [
    ...cellLines(head, rows, (column) => column === 0),
    wrap(
      `* chosen; layers: to a region; chunk: tokens that pass together; µs/token: of one user; µs/prompt: for each token of ` +
        `a prompt; all: output tokens of as many users as there is KV for${more > 0 ? `; ${formatCount(more)} more with --json` : ''}`,
      '  ',
    ),
  ];
}

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

function speed({ placement, decode, prefill, throughput, restsOn }: PlacementReport): string[] {
  const { wafers } = placement;
  const rate = (tokens: number): string => formatCount(tokens < 100 ? Number(tokens.toFixed(1)) : Math.round(tokens));
  const others = decode.others.map((o) => `${rate(o.tokensPerSecond)} at ${formatCount(o.context)}`);
  const power = formatSi(restsOn.systemPower.value * wafers, 'W');
  return [
    figure(
      'per token',
      `${cycleCount(decode.cycles)} + ${formatSi(decode.ioSeconds, 's')} of links = ${formatSi(decode.secondsPerToken, 's')}`,
    ),
    figure(
      'tokens/s',
      `${rate(decode.tokensPerSecond)} at context ${formatCount(decode.context)}${others.length > 0 ? ` (${others.join(', ')})` : ''}, one user`,
    ),
    figure(
      'many users',
      `${rate(throughput.tokensPerSecond)} tokens/s over ${formatCount(throughput.sequences)} ` +
        `${plural(throughput.sequences, 'sequence')} like it, as KV allows`,
    ),
    ...(placement.stages.length === 1
      ? []
      : [
          figure(
            '',
            `slowest region ${formatSi(throughput.slowest, 's')}; regions wait ${percent(throughput.idle)} of the time`,
          ),
        ]),
    figure(
      'first token',
      `${formatSi(prefill.timeToFirstToken, 's')} after a prompt of ${formatCount(prefill.promptTokens)} tokens, no queue`,
    ),
    figure(
      'energy',
      `${formatSi(decode.joulesPerToken, 'J')} a token with ${wafers} ${plural(wafers, 'system')} at rated power (${power})`,
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
  };
  const chosen = chosenRows.length === 0 ? '' : `; constants were chosen from ${chosenRows.join(', ')}`;
  return (
    `${what[group] ?? group}: off by ${percent(mean)} on average, ${percent(worst)} at worst, on published rows ` +
    `${predictedRows.join(', ')} (${kinds.join(', ')})${chosen}.`
  );
};

function basis(report: PlacementReport): string[] {
  const { restsOn, decode } = report;
  const { systemSram, bytesPerInstruction, systemPower, assumed } = restsOn;
  const others = (systemPower.disputed ?? []).map(({ value }) => formatSi(value, 'W')).join(', ');
  return [
    `${capital(restsOn.basis)}.`,
    clockText(report),
    ...restsOn.validation.map(validationText),
    ...(placementIsFp16(report)
      ? []
      : ['Those rows are fp16; this program computes in fp32, for which no row was published.']),
    'Prefill through the decode placement: closed form only, no row was published.',
    `Code: own kernels' estimate, each kernel of a region once, ${bytesPerInstruction.value} B an instruction (${bytesPerInstruction.standing}). System: ${formatCount(systemSram.value)} B (${systemSram.standing}).`,
    ...(restsOn.wholeHeads === undefined ? [] : [wholeHeadsText(restsOn.wholeHeads)]),
    'Capacity and service against published rows: ingot validate.',
    `Rated power ${formatSi(systemPower.value, 'W')} per system (${systemPower.standing}${others === '' ? '' : `; others say ${others}`}), drawn all the time by every system for one user at context ${formatCount(decode.context)}.`,
    ...(assumed.length === 0 ? [] : [assumedText(report)]),
  ];
}

const wholeHeadsText = ({ more, free }: WholeHeads): string =>
  `Memory: matrices in equal pieces. With heads and rotary pairs whole, as in the PE program that the cycles are counted for, a PE would hold ${formatCount(more)} B more of weights, ` +
  (free < 0 ? `${formatCount(-free)} B more than fit.` : `which fits.`);

const assumedText = ({ placement, restsOn }: PlacementReport): string => {
  const facts = restsOn.assumed.map(({ name, value, unit }) => {
    if (unit === 's') return `${name} ${formatSi(value, unit)}`;
    return `${name} ${formatCount(value)} ${value === 1 ? unit.replace(/s(?=$|\/)/, '') : unit}`;
  });
  return `Assumed for lack of a source on ${placement.target}: ${facts.join(', ')}.`;
};

function basisShort({ restsOn }: PlacementReport): string[] {
  const { clock, validation } = restsOn;
  const off = validation
    .map(({ group, mean, worst }) => `${group} off by ${percent(mean)} on average, ${percent(worst)} at worst`)
    .join('; ');
  return [
    `closed form at ${gigahertz(clock.hertz)} (${clock.given ? 'set by --clock' : clock.fact.standing}, disputed); ` +
      "code by the own kernels' estimate",
    `published rows: ${off} (ingot validate); prefill through this placement has none`,
  ];
}

const placementIsFp16 = ({ numerics }: PlacementReport): boolean => numerics.activations === 'fp16';

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
