import { Option } from 'commander';

import { fail } from '../../core/index.ts';
import { passes } from '../../compiler/index.ts';
import type { Pruning } from '../../model/index.ts';
import { openModel, placeModel } from '../place.ts';
import { repairedWafer, type RepairedWafer } from '../repaired-wafer.ts';
import {
  addExamples,
  choiceOption,
  jsonOption,
  meshOption,
  numberOption,
  printJson,
  wholeOption,
  type CliCommand,
} from './command.ts';
import { readDefectMap } from './defect-map-file.ts';
import { pictureFile, writePicture } from './picture-file.ts';
import {
  clockOption,
  contextOption,
  kvOption,
  modelArgument,
  numericsOf,
  pruneOption,
  waferOption,
  weightsOption,
  type NumericsOptions,
} from './placement-options.ts';
import { drawPlacement } from './report/placement-picture.ts';
import { renderPlacement } from './report/placement-text.ts';
import { reportPlacement } from './report/placement.ts';
import { saveArtifact } from './save-artifact.ts';

interface CompileOptions extends NumericsOptions {
  readonly wafer: string;
  readonly context: number;
  readonly promptTokens?: number;
  readonly wafers?: number;
  readonly mesh?: { readonly width: number; readonly height: number };
  readonly prune?: Pruning;
  readonly clock?: number;
  readonly objective?: 'wafers' | 'latency' | 'throughput';
  readonly maxLatency?: number;
  readonly defects?: string;
  readonly defectSeed?: number;
  readonly dumpAfter?: string;
  readonly picture?: string;
  readonly out?: string;
  readonly json?: boolean;
}

export const compileCommand: CliCommand<CompileOptions> = {
  declare(command) {
    command
      .description(
        'Place a model on wafers, layers on regions of their own, by the objective among all placements that fit, and report memory, simulated speed and energy, and what these ' +
          'figures rest on. Speed is stated at the longest context that the model and --context allow. A model by ' +
          'name needs no weights.',
      )
      .addArgument(modelArgument('name'))
      .addOption(waferOption())
      .addOption(contextOption())
      .addOption(
        wholeOption(
          '--prompt-tokens <tokens>',
          'prompt for which the time to first token is stated (default: 1,024, or the longest that the model takes)',
          1,
          1e7,
        ),
      )
      .addOption(wholeOption('--wafers <count>', 'use at most this many wafers (default: as many as needed)', 1, 1024))
      .addOption(
        meshOption('--mesh <WxH>', 'PEs of the regions that hold layers (default: what the objective likes best)'),
      )
      .addOption(weightsOption())
      .addOption(
        choiceOption(
          '--activations <type>',
          'element type of activations, and of the KV cache unless --kv says otherwise',
          ['fp16', 'fp32'],
          '(default: fp16; for a folder fp32, as executed)',
        ),
      )
      .addOption(kvOption())
      .addOption(pruneOption())
      .addOption(clockOption())
      .addOption(
        choiceOption(
          '--objective <what>',
          'wafers: the fewest, then the shortest request of one user (prompt token plus output token); latency: the ' +
            'shortest request; throughput: the most tokens/s for each wafer, over as many users as there is KV for. One of',
          ['wafers', 'latency', 'throughput'],
          '(default: wafers)',
        ),
      )
      .addOption(
        numberOption('--max-latency <ms>', 'milliseconds that an output token of one user may take', {
          min: 0,
          max: 1e6,
          aboveMin: true,
        }),
      )
      .addOption(
        new Option(
          '--defects <file>',
          'defect map of the wafers, as "ingot yield" reads and prints it; all are taken to be alike',
        ).conflicts('defectSeed'),
      )
      .addOption(
        wholeOption('--defect-seed <N>', 'draw the wafers\' defects, as "ingot yield --seed" does', 0, 2 ** 32 - 1),
      )
      .addOption(
        choiceOption(
          '--dump-after <pass>',
          'print what a pass of the compiler made, as JSON, instead of the report',
          passes.map(({ name }) => name),
        ),
      )
      .option('--picture <file>', 'write a picture of the wafers with their regions as SVG', pictureFile('the picture'))
      .option(
        '--out <file>',
        'write the program and all files of the checkpoint as one artifact, which "ingot serve" takes',
      )
      .addOption(jsonOption());
    addExamples(command, [
      ['size and speed of an 8B model on the WSE-3', 'ingot compile llama-3.1-8b'],
      [
        'room for many users, at the clock that headline figures imply',
        'ingot compile qwen3-0.6b --context 65536 --clock 1.1',
      ],
      ['one file to serve from', 'ingot compile ./checkpoint --out tiny.ingot'],
      ['where the layers lie', 'ingot compile llama-3.1-70b --context 2048 --picture wafer.svg'],
      [
        'most users on two wafers, 1 ms a token',
        'ingot compile llama-3.1-8b --objective throughput --wafers 2 --max-latency 1',
      ],
      ['on a wafer with defects', 'ingot compile llama-3.1-8b --defect-seed 1'],
      ['the checkpoint in a folder, as a document for other programs', 'ingot compile ./checkpoint --json'],
    ]);
  },

  async run(io, options, [reference]) {
    const model = openModel(reference);
    try {
      if (model.compiled !== undefined) refuseCompiled(reference);
      const { context: kvTokens, objective, dumpAfter } = options;
      const maxLatency = options.maxLatency === undefined ? undefined : options.maxLatency / 1e3;
      const repaired = repairOf(options);
      let dump: unknown;
      const placed = placeModel(model, {
        wafer: options.wafer,
        kvTokens,
        numerics: numericsOf(options),
        pruning: options.prune,
        maxWafers: options.wafers,
        mesh: options.mesh,
        clockGHz: options.clock,
        objective,
        maxLatency,
        ...(repaired === undefined ? {} : { detours: (region) => repaired.detours(region) }),
        watch(pass, shown) {
          if (pass.name === dumpAfter) dump = shown();
        },
      });
      if (dumpAfter !== undefined) {
        printJson(io, dump);
        return 0;
      }
      const report = reportPlacement(model, placed, {
        kvTokens,
        promptTokens: options.promptTokens,
        clockGiven: options.clock !== undefined,
        objective,
        maxLatency,
        repaired,
        validation: ['decode'],
      });
      const { programWidth: width, programHeight: height } = placed.wafer;
      if (options.picture !== undefined) writePicture(options.picture, drawPlacement(report, { width, height }));
      if (options.json === true) printJson(io, report);
      else io.out(renderPlacement(report, io.paint));
      if (options.picture !== undefined) io.err(`picture written to ${options.picture}\n`);
      if (options.out !== undefined) {
        saveArtifact(io, options.out, model, placed, wantedOf(options, repaired));
        io.err(`artifact written to ${options.out}\n`);
      }
      return 0;
    } finally {
      model.checkpoint?.close();
    }
  },
};

/** @throws IngotError ARTIFACT_COMPILED */
const refuseCompiled = (file: string): never =>
  fail({
    code: 'ARTIFACT_COMPILED',
    message: 'this is an artifact: it is compiled already',
    where: file,
    suggestion: 'look at it with "ingot inspect", or compile the checkpoint that it was made from',
  });

/** What the program depends on, for the artifact. */
function wantedOf(options: CompileOptions, repaired: RepairedWafer | undefined): Record<string, unknown> {
  const { json: _json, out: _out, picture: _picture, dumpAfter: _dump, promptTokens: _prompt, ...wanted } = options;
  const { mesh, defects: _file, defectSeed: _seed, ...plain } = wanted;
  return {
    ...plain,
    ...(mesh === undefined ? {} : { mesh: `${mesh.width}x${mesh.height}` }),
    ...(repaired === undefined ? {} : { defects: repaired.from }),
  };
}

/** The repaired wafer that the options ask for. */
function repairOf({ wafer, defects, defectSeed }: CompileOptions): RepairedWafer | undefined {
  if (defects !== undefined) return repairedWafer(wafer, { map: readDefectMap(defects), file: defects });
  return defectSeed === undefined ? undefined : repairedWafer(wafer, { seed: defectSeed });
}
