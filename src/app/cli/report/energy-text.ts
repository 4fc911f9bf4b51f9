// What `ingot energy` prints.

import { formatCount, formatSi } from '../../../core/index.ts';
import type { Io } from '../io.ts';
import type { EnergyReport } from './energy.ts';
import { bar, lineIn, percent, plural, wrap } from './layout.ts';

const COLUMN = 16;
const BAR = 24;
const line = lineIn(COLUMN);

export function renderEnergy(report: EnergyReport, paint: Io['paint']): string {
  const { model, wafers, power, heat, inFlight } = report;
  const part = (name: string, watts: number): string =>
    `${`  ${name}`.padEnd(COLUMN)}${formatSi(watts, 'W').padStart(9)}  ${percent(watts / power.total).padStart(7)}  ${bar(watts / power.total, BAR)}`.trimEnd();
  const tooMuch = power.total > power.rated;
  return `${[
    paint('bold', `${model.name}, decoding on ${formatCount(wafers)} ${plural(wafers, 'wafer')}  `) +
      paint('yellow', 'simulated, not measured'),
    ...(report.caution === undefined ? [] : [paint('yellow', wrap(report.caution, '  '))]),
    line(
      'in flight',
      `${formatCount(inFlight)} ${plural(inFlight, 'sequence')}, ${formatCount(report.context)} tokens behind each`,
    ),
    line(
      'tokens/s',
      `${formatCount(Math.round(power.tokensPerSecond))} over all; a token takes ${formatSi(report.secondsPerToken, 's')} through ${formatCount(report.stages)} ${plural(report.stages, 'region')}, which ${report.saturated === 1 ? 'one sequence keeps' : `${formatCount(report.saturated)} sequences keep`} busy`,
    ),
    '',
    paint('bold', `Power ${formatSi(power.total, 'W')} of ${formatSi(power.rated, 'W')} rated`) +
      (tooMuch ? paint('red', '  more than rated: the clock would fall') : ''),
    part('idle', power.idle),
    part('instructions', power.elements),
    part('fabric', power.fabric),
    part('off the wafer', power.offWafer),
    '',
    line(
      'per token',
      `${formatSi(power.joulesPerToken, 'J')}; ${formatSi(report.joulesPerTokenAtRated, 'J')} at rated power, which is all that is sure`,
    ),
    '',
    paint(
      'bold',
      `Temperature of the ${formatCount(heat.columns * heat.rows)} dies${wafers === 1 ? '' : ` of wafer ${formatCount(heat.wafer + 1)}, the hottest`}`,
    ),
    ...dieLines(report),
    line(
      'hottest',
      `${heat.hottest.toFixed(1)} °C; coolest ${heat.coolest.toFixed(1)} °C, coolant as it leaves ${heat.coolant.toFixed(1)} °C`,
    ),
    line('clock', clockText(report)),
    '',
    paint('bold', 'Rests on'),
    ...Object.entries(report.restsOn).map(([name, fact]) =>
      wrap(`${name} ${formatFact(fact.value)} ${fact.unit} (${fact.standing}): ${fact.basis}`, '    ', '  '),
    ),
    paint(
      'dim',
      wrap(
        `Cycles: ${report.simulated}. No measurement of a wafer's energy is compared with it: published ratios are rated power times time.`,
        '',
      ),
    ),
  ].join('\n')}\n`;
}

const formatFact = (value: number): string =>
  value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : formatCount(Number(value.toPrecision(4)));

/** Degrees of each die, as the wafer lies. */
function dieLines({ heat }: EnergyReport): string[] {
  const { columns, rows, temperature } = heat;
  return Array.from({ length: rows }, (_, row) =>
    `  ${temperature
      .slice(row * columns, (row + 1) * columns)
      .map((degrees) => degrees.toFixed(1).padStart(6))
      .join(' ')}`.trimEnd(),
  );
}

function clockText({ heat }: EnergyReport): string {
  if (heat.clockScale === 1) return `no die is above ${formatCount(heat.limit)} °C: the clock stays`;
  if (heat.clockScale === 0) return `idling alone is above ${formatCount(heat.limit)} °C: no clock is slow enough`;
  return `above ${formatCount(heat.limit)} °C: it would fall to ${percent(heat.clockScale)}, and tokens/s with it`;
}
