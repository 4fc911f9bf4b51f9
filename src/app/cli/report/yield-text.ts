// The yield report for people, 80 columns wide.

import { formatCount, renderTable } from '../../../core/index.ts';
import type { Fact } from '../../../spec/index.ts';
import { homeOf, spareColumns, spareRows } from '../../../wafer/index.ts';
import type { Io } from '../io.ts';
import { lineIn, plural, right, wrap } from './layout.ts';
import { SPARE_TARGET, type LineCost, type YieldLine, type YieldReport } from './yield.ts';

const LABEL = 14;
/** Characters per die in the picture, across and down. */
const CELLS = { across: 7, down: 2 };

export function renderYield(report: YieldReport, paint: Io['paint']): string {
  const heading = (text: string): string => paint('bold', text);
  const lines = [
    `${heading(`Defects and repair of ${report.wafer}`)}  ${paint('yellow', 'simulated, not measured')}`,
    '',
    ...outline(report).map(([name, text]) => lineIn(LABEL)(name, text)),
    '',
    heading('Where the defects lie'),
    ...picture(report),
    '',
    ...(report.statistics === undefined ? [] : [...statistics(report, heading), '']),
    heading('Yield by density, and by the smallest part that a defect takes with it'),
    ...table(report),
    '',
    heading('What this rests on'),
    ...basis(report).map((text) => wrap(text, '    ', '  - ')),
  ];
  return `${lines.join('\n')}\n`;
}

const few = (value: number): string =>
  value < 10 ? String(Number(value.toPrecision(2))) : formatCount(Math.round(value));
const share = (value: number): string => `${Number((value * 100).toPrecision(2))} %`;
const spares = (count: number, kind: string, given: boolean): string =>
  `${formatCount(count)} spare ${plural(count, kind)}${given ? '' : ' (assumed)'}`;
const pes = (count: number): string => `${formatCount(count)} ${plural(count, 'PE')}`;

function outline(report: YieldReport): [name: string, text: string][] {
  const { structure, process, map, figures, column, row, from } = report;
  const { width, height, logicalWidth, logicalHeight, dieColumns, dieRows } = structure;
  const { capacity, extraHops, histogram } = figures;
  const source =
    'file' in from
      ? `read from ${from.file}`
      : `drawn with seed ${from.seed}${from.wafer > 1 || report.statistics !== undefined ? `, wafer ${from.wafer}` : ''}`;
  const clean = histogram[0].links / figures.links;
  return [
    [
      'made',
      `${width} x ${formatCount(height)} = ${pes(capacity.made)} in ${dieColumns} x ${dieRows} dies; ` +
        `${spares(spareColumns(structure), 'column', report.sparesGiven.columns)}, ` +
        spares(spareRows(structure), 'row', report.sparesGiven.rows),
    ],
    [
      'expected',
      `${report.expectedDefects.toPrecision(3)} killer defects on these PEs at ${process.density} per mm²` +
        (process.clustering === undefined ? '' : `, clustered by die with parameter ${process.clustering}`),
    ],
    [
      'dead',
      `${pes(map.deadPes.length)} and ${formatCount(map.deadLinks.length)} ${plural(map.deadLinks.length, 'link')}, ${source}`,
    ],
    [
      'repair',
      `${formatCount(figures.shiftedRows)} ${plural(figures.shiftedRows, 'row')} shifted by up to ` +
        `${figures.spareColumnsUsed} of ${spareColumns(structure)} spare columns; ` +
        `${formatCount(figures.retiredRows)} ${plural(figures.retiredRows, 'row')} given up, ` +
        `${figures.spareRowsUsed} of ${spareRows(structure)} spare rows used`,
    ],
    ...(report.logUnrepairable === undefined
      ? []
      : [
          [
            'wafer yield',
            `all but ${tenTo(report.logUnrepairable)} of wafers have enough spares for their dead PEs`,
          ] as [string, string],
        ]),
    [
      'logical',
      `${logicalWidth} x ${formatCount(logicalHeight)} = ${pes(capacity.logical)}, the fabric that programs see, whole`,
    ],
    [
      'capacity',
      `lost to defects: ${formatCount(capacity.dead + capacity.retired)} PEs (${share((capacity.dead + capacity.retired) / capacity.made)}); ` +
        `kept as spares: ${formatCount(capacity.spare)} (${share(capacity.spare / capacity.made)}). ` +
        `With no fixed number of spares: ${report.largestRectangle.width} x ${formatCount(report.largestRectangle.height)}`,
    ],
    [
      'extra hops',
      `per link: mean ${Number(extraHops.mean.toPrecision(2))}, worst ${extraHops.worst}; ${(clean * 100).toFixed(2)} % of ` +
        `${formatCount(figures.links)} links have none${detours(histogram)}`,
    ],
    ['worst column', lineText(column, 'x')],
    ['worst row', lineText(row, 'y')],
  ];
}

/** Most kinds of detour that are counted one by one. */
const MAX_KINDS = 5;

function detours(histogram: YieldReport['figures']['histogram']): string {
  const kinds = histogram.slice(1);
  const shown = kinds.slice(0, MAX_KINDS).map(({ extraHops, links }) => `+${extraHops}: ${formatCount(links)}`);
  const rest = kinds.slice(MAX_KINDS).reduce((sum, { links }) => sum + links, 0);
  if (rest > 0) shown.push(`more: ${formatCount(rest)}`);
  return shown.length === 0 ? '' : ` (${shown.join(', ')})`;
}

function lineText({ index, extraHops, parts, cycles, cyclesWithoutDefects }: LineCost, axis: 'x' | 'y'): string {
  const added = cycles - cyclesWithoutDefects;
  if (extraHops === 0) return `no extra hops; all-reduce over ${formatCount(parts)} PEs ${formatCount(cycles)} cycles`;
  return (
    `${axis} = ${index}: ${formatCount(extraHops)} extra ${plural(extraHops, 'hop')} from end to end; all-reduce of one value ` +
    `${formatCount(cyclesWithoutDefects)} → ${formatCount(cycles)} cycles (+${formatCount(added)}, ` +
    `${share(added / cyclesWithoutDefects)})`
  );
}

/** Defects counted in cells of a die; a bar between dies. */
function picture({ map, structure, repaired }: YieldReport): string[] {
  const { dieColumns, dieRows, width, height } = structure;
  const [columns, rows] = [dieColumns * CELLS.across, dieRows * CELLS.down];
  const counts = Array.from({ length: rows }, () => Array.from({ length: columns }, () => 0));
  for (const { x, y } of [...map.deadPes, ...map.deadLinks])
    counts[Math.floor((y * rows) / height)][Math.floor((x * columns) / width)]++;
  const symbol = (count: number): string => (count === 0 ? '·' : count < 10 ? String(count) : '#');
  const givenUp = new Set(repaired.retiredRows.map((y) => Math.floor((y * rows) / height)));
  const lines = counts.map((cells, row) => {
    const dies = Array.from({ length: dieColumns }, (_, die) =>
      cells
        .slice(die * CELLS.across, (die + 1) * CELLS.across)
        .map(symbol)
        .join(''),
    );
    return `  ${dies.join('│')}${givenUp.has(row) ? '  ← row given up' : ''}`;
  });
  const cell = `${few(width / columns)} x ${few(height / rows)} PEs`;
  return [
    ...lines,
    wrap(`Defects per cell of about ${cell}; # is 10 or more; bars lie between dies, each 2 lines high.`, '  '),
  ];
}

function statistics({ statistics: found }: YieldReport, heading: (text: string) => string): string[] {
  if (found === undefined) return [];
  const { wafers, repaired, dead, worstLink, addedCycles } = found;
  const rows = [
    { what: 'dead PEs', ...dead },
    { what: 'extra hops of the worst link', ...worstLink },
    { what: 'cycles added to an all-reduce along the worst column', ...addedCycles },
  ];
  const text = renderTable(
    [
      { heading: 'of each wafer', text: ({ what }) => what },
      { heading: 'median', text: ({ median }) => formatCount(median), align: 'right' },
      { heading: 'most', text: ({ most }) => formatCount(most), align: 'right' },
    ],
    rows,
  );
  return [heading(`${formatCount(wafers)} wafers drawn, ${formatCount(repaired)} repaired`), ...indent(text)];
}

const indent = (text: string): string[] => text.split('\n').map((line) => `  ${line}`);

function table({ table: rows, process, facts, gpuPart }: YieldReport): string[] {
  const columns = rows[0].parts.flatMap(({ spare }, part) => [
    right<YieldLine>(part === 0 ? 'PE yield' : 'part yield', ({ parts }) => percentOf(parts[part].yield)),
    right<YieldLine>('dead', ({ parts }) => few(parts[part].lost)),
    ...(spare === undefined ? [] : [right<YieldLine>('spare', ({ parts }) => few(parts[part].spare ?? NaN))]),
  ]);
  const text = renderTable<YieldLine>(
    [
      right('per mm²', ({ density }) => `${density}${density === process.density ? ' *' : '  '}`),
      right('defects', ({ defects }) => few(defects)),
      ...columns,
    ],
    rows,
  );
  const [pe, part] = [process.peArea, gpuPart.value];
  const notes = [
    `A wafer of ${formatCount(facts.waferArea.value)} mm² in PEs of ${few(pe)} mm², or in parts of ${gpuPart.value} mm²: ` +
      `${gpuPart.basis} (${gpuPart.standing}). One defect costs ${share(pe / facts.waferArea.value)} or ${share(part / facts.waferArea.value)} of ` +
      `the silicon: ${formatCount(Math.round(part / pe))} times as much.`,
    'dead: expected mm² of dead parts.' +
      (process.clustering === undefined
        ? ` spare: mm² of the spares with which ${SPARE_TARGET * 100} % of wafers have enough, any spare for any part.`
        : ` Negative binomial with parameter ${process.clustering}.`),
  ];
  return [...indent(text), ...notes.map((note) => wrap(note, '  '))];
}

/** As many digits as show what is missing from 100 %. */
function percentOf(value: number): string {
  const missing = 100 * (1 - value);
  const digits = missing <= 0 ? 1 : Math.min(9, Math.max(1, 1 - Math.floor(Math.log10(missing))));
  return `${(100 * value).toFixed(digits)} %`;
}

const stated = (name: string, { value, unit, standing, basis, source }: Fact): string =>
  `${name}: ${formatCount(Number(value.toPrecision(6)))} ${unit} (${standing}: ${basis}; ${source}).`;

function basis(report: YieldReport): string[] {
  const { facts, structure, process, hop, sparesGiven } = report;
  const home = homeOf(structure);
  const others = (facts.clustering.disputed ?? []).map(({ value, source }) => `${value}: ${source}`).join('; ');
  const size = (given: boolean, name: string, fact: Fact, spares: number): string =>
    given ? `${name}: the fabric and ${spares}, as asked for.` : stated(name, fact);
  return [
    report.densityGiven
      ? `Density: ${process.density} per mm², as asked for; the wafer's own is ${facts.defectDensity.value} (${facts.defectDensity.standing}).`
      : stated('Density', facts.defectDensity),
    process.clustering === undefined
      ? `Clustering: none, defects are independent. --clustering makes dies differ; usual are ${facts.clustering.value} ` +
        `(${facts.clustering.source}) and ${others}.`
      : `Clustering: ${process.clustering}, as asked for; no figure for this process was found.`,
    stated('Share of defects that hit a link', facts.linkShare),
    stated('Area of a PE', facts.peArea),
    size(sparesGiven.columns, 'Columns made', facts.physWidth, spareColumns(structure)),
    size(sparesGiven.rows, 'Rows made', facts.physHeight, spareRows(structure)),
    `Repair (assumed; published are redundant rows and spare links, not how many or what they cost): spares lie at the ` +
      `edges, ${home.x} columns west and ${home.y} rows north; a row shifts around its dead PEs into spare columns, a row with ` +
      `more dead PEs than these is given up for a spare row; crossing a dead PE or a row given up costs one hop each; a dead ` +
      `link is passed through the next row or column. What detours share a link, and so their bandwidth, is not counted.`,
    `Hop: ${hop.value} ${plural(hop.value, 'cycle')} (${hop.standing}). All-reduce: two-level closed form, of one value; detours on the longest way of ` +
      `each level are added, an upper bound. Wafer yield: closed form, one binomial tail inside another.`,
  ];
}

/** A probability by its natural logarithm. */
function tenTo(log: number): string {
  if (log === -Infinity) return '0';
  const exponent = log / Math.LN10;
  return exponent > -4 ? share(Math.exp(log)) : `10^${Math.round(exponent)}`;
}
