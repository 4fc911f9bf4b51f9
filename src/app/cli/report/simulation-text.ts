// A simulation for people, 80 columns wide.

import { formatCount, formatSi, renderTable, type Column } from '../../../core/index.ts';
import type { CycleBreakdown } from '../../../sim/index.ts';
import { targets, type Target } from '../../simulate/target.ts';
import type { Chosen, PointReport, Ranked } from '../../simulate/point.ts';
import type { Io } from '../io.ts';
import { bar, lineIn, percent, plural, right, signed, wrap } from './layout.ts';

const LABEL = 15;
const BAR = 16;

/** What each part of the critical path is. */
const causes: Readonly<Record<keyof CycleBreakdown, string>> = {
  compute: 'instructions, vector elements and their start-ups',
  link: 'hops from router to router',
  ramp: 'between a router and its CE',
  task: 'from activation to first instruction',
  stall: 'waiting for a link, for room, for a thread',
};

export function renderSimulation(report: PointReport, paint: Io['paint']): string {
  const { kernel, mesh, wafer, cycles, closedForm, counts, utilisation, colors, sram, pes } = report;
  const heading = (text: string): string => paint('bold', text);
  const line = (name: string, text: string): string => lineIn(LABEL)(`  ${name}`, text);
  const sizes = Object.entries(report.sizes).map(([name, value]) => `${name} ${formatCount(value)}`);
  const by = report.reduce === undefined ? [] : [`sums by ${report.reduce}`];
  return `${[
    heading(`${kernel} on ${mesh.width} x ${mesh.height} PEs of ${wafer.name} (simulated, not measured)`),
    wrap(
      `${report.about}; ${[...sizes, ...(report.switches ?? []), report.type, ...by].join(', ')}; inputs of seed ${report.seed}`,
      '',
    ),
    '',
    heading(`Cycles         ${formatCount(cycles)}`),
    line('closed form', `${formatCount(closedForm)}, simulated ${difference(cycles, closedForm)}`),
    ...(report.chosen === undefined ? [] : [line('algorithm', chosenText(report.chosen, report.algorithm))]),
    ...report.published.flatMap(({ id, value, unit, kind, source, error }) => [
      line(
        'published',
        `${formatCount(value)} ${unit === 'us' ? 'µs' : unit} (${id}, ${kind}), simulated ${signed(error)}`,
      ),
      paint('dim', wrap(source, ' '.repeat(LABEL))),
    ]),
    ...(report.breakdown === undefined ? [] : ['', ...breakdownText(report.breakdown, cycles, paint)]),
    '',
    heading('Work'),
    line(
      'hops',
      `${formatCount(counts.hops)} link traversals, ${formatCount(counts.delivered)} wavelets delivered to CEs`,
    ),
    line(
      'CEs',
      `${formatCount(counts.vectorSteps)} vector steps, ${formatCount(counts.instructions)} instructions, ${formatCount(counts.tasks)} task starts`,
    ),
    line('contention', `${formatCount(counts.contended)} times a wavelet lost its link to another color for a cycle`),
    '',
    heading('Utilisation, of all cycles'),
    line('CEs', `${percent(utilisation.ce)} in the mean, ${percent(utilisation.busiestCe)} the busiest`),
    line(
      'links',
      `${percent(utilisation.link)} in the mean of the ${formatCount(utilisation.linksUsed)} that are used, ` +
        `${percent(utilisation.fullestLink)} the fullest`,
    ),
    '',
    heading('Resources'),
    line('PEs', formatCount(pes)),
    line('colors', `${colors.used} of the ${colors.usable} that programs may use`),
    line(
      'SRAM',
      `${formatCount(sram.objects + sram.code)} B of ${formatCount(sram.capacity)} B in the fullest PE, code ${formatCount(sram.code)} B`,
    ),
    '',
    valuesText(report, paint),
    '',
    line('rests on', constantsText(report)),
    line('engine', report.engine),
    line('speed', speedText(report)),
  ].join('\n')}\n`;
}

/** The algorithm that ran, and what the closed form gives for the others. */
function chosenText({ algorithm, about, ranked, ...rest }: Chosen, asked: string | undefined): string {
  const named = (one: Ranked): string =>
    isGrouped(one.algorithm) ? `${one.algorithm} in groups of ${one.group}` : one.algorithm;
  const others = ranked.filter((one) => one.algorithm !== algorithm);
  const how = others.length > 0 && asked === 'auto' ? ', the cheapest by the closed form' : '';
  const list = others.map((one) => `${named(one)} ${formatCount(one.closedForm)}`).join(', ');
  return `${named({ algorithm, ...rest })}${how}: ${about}${list === '' ? '' : `. The others: ${list}`}`;
}

const isGrouped = (algorithm: string): boolean => algorithm.startsWith('two-');

function breakdownText(breakdown: CycleBreakdown, cycles: number, paint: Io['paint']): string[] {
  const parts = Object.entries(breakdown) as [keyof CycleBreakdown, number][];
  const row = (name: string, count: number, text: string): string =>
    `  ${name.padEnd(8)}${formatCount(count).padStart(13)}${percent(count / Math.max(cycles, 1)).padStart(9)}  ${text}`.trimEnd();
  const widest = Math.max(...parts.map(([, count]) => count), 1);
  return [
    paint('bold', 'Critical path: what the last action waited for, back to the first cycle'),
    ...parts.map(([name, count]) => row(name, count, `${bar(count / widest, BAR).padEnd(BAR)}`)),
    row('total', cycles, ''),
    ...parts.map(([name]) => paint('dim', wrap(`${name}: ${causes[name]}`, '    ', '  '))),
  ];
}

function difference(cycles: number, closedForm: number): string {
  const more = cycles - closedForm;
  if (more === 0) return 'the same';
  const share = closedForm === 0 ? '' : ` (${signed(more / closedForm)})`;
  return `${formatCount(Math.abs(more))} ${more > 0 ? 'more' : 'fewer'}${share}`;
}

function valuesText({ values: { checked, correct, exact } }: PointReport, paint: Io['paint']): string {
  const how = exact ? 'equal to the exact outcome' : 'within the rounding error of the type';
  return correct === checked
    ? `${paint('green', 'Values correct')}: all ${formatCount(checked)} ${plural(checked, 'result')} ${how}`
    : `${paint('red', 'Values wrong')}: ${formatCount(checked - correct)} of ${formatCount(checked)} not ${how}`;
}

const constantsText = ({ constants: { hop, ramp, vectorStartup, taskStart } }: PointReport): string =>
  `hop ${hop}, ramp ${ramp}, vector start-up ${vectorStartup}, task start ${taskStart} cycles`;

function speedText({ wallSeconds, cycles, counts }: PointReport): string {
  const rate = (n: number, unit: string): string => `${formatSi(n / wallSeconds, unit)}/s`;
  return `${formatSi(wallSeconds, 's')} on this machine: ${rate(cycles, ' cycles').replace('  ', ' ')}, ${rate(counts.hops, ' hops').replace('  ', ' ')}`;
}

function variedText({ type, reduce, algorithm, sizes }: PointReport, name: string): string {
  if (name === 'type') return type;
  if (name === 'reduce') return reduce ?? '-';
  if (name === 'algorithm') return algorithm ?? '-';
  return formatCount(sizes[name]);
}

/** Points beside one another. @param varied sizes that differ between points */
export function renderSweep(reports: readonly PointReport[], varied: readonly string[]): string {
  const [{ kernel, about, wafer }] = reports;
  const columns: Column<PointReport>[] = [
    right('mesh', ({ mesh }) => `${mesh.width}x${mesh.height}`),
    ...varied.map((name) => right<PointReport>(name, (report) => variedText(report, name))),
    right('cycles', ({ cycles }) => formatCount(cycles)),
    right('closed form', ({ closedForm }) => formatCount(closedForm)),
    right('difference', ({ cycles, closedForm }) => (closedForm === 0 ? '-' : signed(cycles / closedForm - 1))),
    right('CEs', ({ utilisation }) => percent(utilisation.ce)),
    right('links', ({ utilisation }) => percent(utilisation.link)),
    { heading: 'values', text: ({ values }) => (values.correct === values.checked ? 'correct' : 'WRONG') },
  ];
  return `${wrap(`${kernel} on meshes of ${wafer.name} (simulated, not measured): ${about}`, '')}\n${renderTable(columns, reports)}\n`;
}

/** Every target with its sizes. */
export function renderTargets(paint: Io['paint']): string {
  const text = (target: Target): string[] => [
    `  ${paint('bold', target.id)}`,
    wrap(target.about, '      '),
    ...Object.entries(target.sizes).map(([name, { about }]) =>
      wrap(about, ' '.repeat(18), `      --${name.padEnd(10)}`),
    ),
    ...Object.entries(target.switches ?? {}).map(([name, about]) =>
      wrap(about, ' '.repeat(18), `      --${name.padEnd(10)}`),
    ),
    ...(target.types === undefined
      ? []
      : [wrap(`only ${target.types.join(', ')}`, ' '.repeat(18), '      --type      ')]),
    ...(target.reduces === undefined
      ? []
      : [wrap(`what sums over PEs: ${target.reduces.join(', ')}`, ' '.repeat(18), '      --reduce    ')]),
    ...(target.algorithms === undefined
      ? []
      : [wrap(target.algorithms.join(', '), ' '.repeat(20), '      --algorithm   ')]),
  ];
  const all = Object.values(targets);
  return `${[
    'Collectives over the whole mesh, by the cheapest algorithm unless one is named',
    ...all.filter(({ kind }) => kind === 'mesh collective').flatMap(text),
    '',
    'Algorithms on lines: on every row of the mesh; on a mesh of one column, along it',
    ...all.filter(({ kind }) => kind === 'collective').flatMap(text),
    '',
    'Kernels: on the whole mesh',
    ...all.filter(({ kind }) => kind === 'kernel').flatMap(text),
  ].join('\n')}\n`;
}
