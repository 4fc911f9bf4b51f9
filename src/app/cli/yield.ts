import { Option } from 'commander';

import { formatCount } from '../../core/index.ts';
import { wafers } from '../../spec/index.ts';
import { MAX_MAP_BYTES, toFile } from '../../wafer/index.ts';
import { addExamples, jsonOption, numberOption, printJson, wholeOption, type CliCommand } from './command.ts';
import { readDefectMap } from './defect-map-file.ts';
import { pictureFile, writePicture } from './picture-file.ts';
import { drawYield } from './report/yield-picture.ts';
import { renderYield } from './report/yield-text.ts';
import { reportYield, type YieldReport } from './report/yield.ts';

interface YieldOptions {
  readonly wafer: string;
  readonly density?: number;
  readonly clustering?: number;
  readonly seed?: number;
  readonly wafers?: number;
  readonly map?: string;
  readonly spareColumns?: number;
  readonly spareRows?: number;
  readonly picture?: string;
  readonly json?: boolean;
}

export const yieldCommand: CliCommand<YieldOptions> = {
  declare(command) {
    command
      .description(
        'Draw the defects of a wafer, or read them from a file; repair it by spare columns, spare rows and detours; ' +
          'and report what that costs in hops, cycles and capacity, and the yield by density and size of the part ' +
          'that a defect takes with it. How the real machine is repaired is not published: what is assumed is marked so.',
      )
      .addOption(new Option('--wafer <id>', `wafer: ${Object.keys(wafers).join(', ')}`).default('wse3', 'wse3'))
      .addOption(numberOption('--density <D>', 'killer defects per mm² (default: of the wafer)', { min: 0, max: 10 }))
      .addOption(
        numberOption(
          '--clustering <A>',
          'parameter of the negative-binomial distribution of defects per die; the smaller, the more they cluster ' +
            '(default: independent defects)',
          { min: 0, max: 1000, aboveMin: true },
        ),
      )
      .addOption(wholeOption('--seed <N>', 'draw other defects (default: 1)', 0, 2 ** 32 - 1))
      .addOption(
        wholeOption('--wafers <N>', 'draw so many wafers and add statistics; the first repaired is shown', 1, 10_000),
      )
      .addOption(
        new Option(
          '--map <file>',
          'JSON file with the defects, as --json prints it under "defectMap"; at most ' +
            `${formatCount(MAX_MAP_BYTES / 2 ** 20)} MiB`,
        ).conflicts(['seed', 'wafers']),
      )
      .addOption(wholeOption('--spare-columns <N>', 'columns made besides the fabric (default: assumed)', 0, 1000))
      .addOption(wholeOption('--spare-rows <N>', 'rows made besides the fabric (default: assumed)', 0, 1000))
      .option('--picture <file>', 'write a picture of the wafer as SVG', pictureFile('the picture'))
      .addOption(jsonOption());
    addExamples(command, [
      ['one wafer at the published density', 'ingot yield'],
      ['a hundred wafers, ten times the defects, clustered', 'ingot yield --density 0.01 --clustering 2 --wafers 100'],
      ['what if there were one spare column and one spare row?', 'ingot yield --spare-columns 1 --spare-rows 1'],
      ['your own map', 'ingot yield --map defects.json --picture wafer.svg'],
    ]);
  },

  async run(io, options) {
    const { wafer, density, clustering, spareColumns, spareRows, map: file, seed = 1, wafers: count = 1 } = options;
    const report = reportYield({
      wafer,
      density,
      clustering,
      spareColumns,
      spareRows,
      defects: file === undefined ? { seed, wafers: count } : { map: readDefectMap(file), file },
    });
    if (options.picture !== undefined) writePicture(options.picture, drawYield(report));
    if (options.json === true) printJson(io, documentOf(report));
    else io.out(renderYield(report, io.paint));
    if (options.picture !== undefined) io.err(`picture written to ${options.picture}\n`);
    return 0;
  },
};

/** The report without what can be computed from its map, and with the map in the form that --map reads. */
function documentOf(report: YieldReport) {
  const { map, repaired, figures, ...rest } = report;
  const { worstRow: _row, worstColumn: _column, ...counts } = figures;
  return { ...rest, figures: counts, retiredRows: repaired.retiredRows, defectMap: toFile(map) };
}
