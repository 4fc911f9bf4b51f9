import { fail, formatCount, formatSi } from '../../core/index.ts';
import {
  gemmSide,
  overOf,
  streamedDecode,
  streamingMemory,
  trainingStep,
  type StreamingMemory,
} from '../../sim/index.ts';
import { cluster, findWafer, resolveWafer } from '../../spec/index.ts';
import { openModel, type OpenModel } from '../place.ts';
import { addExamples, choiceOption, jsonOption, printJson, wholeOption, type CliCommand } from './command.ts';
import { modelArgument, waferOption } from './placement-options.ts';
import { renderStreaming } from './report/streaming-text.ts';

interface StreamOptions {
  readonly wafer: string;
  readonly systems: number;
  readonly sequences?: number;
  readonly length: number;
  readonly type: 'fp16' | 'fp32';
  readonly json?: boolean;
}

/** Sequences tried where nobody says how many: as many as fit. */
const MOST_SEQUENCES = 4096;

export const stream: CliCommand<StreamOptions> = {
  declare(command) {
    command
      .description(
        'Time weight streaming in closed form: the model stays in an outside store and comes in layer by layer, for ' +
          'training and for models that fit no allowed number of wafers. It says what the wafers wait for, and how slow ' +
          'one user would be served that way.',
      )
      .addArgument(modelArgument('artifact', 'name'))
      .addOption(waferOption())
      .addOption(
        wholeOption('--systems <N>', 'systems, each with its own sequences', 1, cluster.systems.value).default(1),
      )
      .addOption(
        wholeOption('--sequences <N>', 'sequences per system and step (default: as many as fit)', 1, MOST_SEQUENCES),
      )
      .addOption(wholeOption('--length <tokens>', 'tokens of a sequence', 1, 1e6).default(2048, '2,048'))
      .addOption(
        choiceOption('--type <type>', 'element type of weights and activations', ['fp16', 'fp32']).default('fp16'),
      )
      .addOption(jsonOption());
    addExamples(command, [
      ['train an 8B model on one system', 'ingot stream llama-3.1-8b'],
      ['sixteen systems, four sequences each', 'ingot stream llama-3.1-8b --systems 16 --sequences 4'],
    ]);
  },

  async run(io, options, [reference]) {
    const model = openModel(reference);
    try {
      const { systems, length, type } = options;
      const wafer = resolveWafer(findWafer(options.wafer));
      const { shape } = model.graph;
      const run = { shape, parameters: model.parameters, systems, length, type };
      const sequences =
        options.sequences ?? mostSequences((n) => overOf(streamingMemory({ ...run, sequences: n }, wafer)));
      const step = sequences === 0 ? undefined : trainingStep({ ...run, sequences }, wafer, cluster);
      if (step === undefined)
        doesNotFit(model, length, sequences, streamingMemory({ ...run, sequences: Math.max(1, sequences) }, wafer));
      const report = {
        simulated: `closed form on ${systems} ${wafer.name}, ${(wafer.clock / 1e9).toFixed(3)} GHz, GEMMs on ${gemmSide(wafer)}x${gemmSide(wafer)} PEs`,
        caution: wafer.caution,
        model: { name: model.name, parameters: model.parameters, layers: shape.layers },
        systems,
        sequences,
        length,
        type,
        tokensPerStep: systems * sequences * length,
        training: step,
        store: {
          bytes: model.parameters * cluster.trainingState.value,
          capacity: cluster.storeCapacity.value,
        },
        decode: streamedDecode(run, wafer, cluster),
      };
      if (options.json === true) printJson(io, report);
      else io.out(renderStreaming(report, io.paint));
      return 0;
    } finally {
      model.checkpoint?.close();
    }
  },
};

/** The largest number of sequences that is not over; 0 where one is. */
function mostSequences(overAt: (sequences: number) => number): number {
  let low = 0;
  let high = MOST_SEQUENCES;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (overAt(middle) <= 0) low = middle;
    else high = middle - 1;
  }
  return low;
}

function doesNotFit({ name }: OpenModel, length: number, sequences: number, memory: StreamingMemory): never {
  return fail({
    code: 'STREAMING_DOES_NOT_FIT',
    message: `two ${memory.streamed} of ${name} and the activations of ${formatCount(Math.max(1, sequences))} x ${formatCount(length)} tokens do not fit on a wafer`,
    where: 'the PEs of one system',
    expected: `weights of two ${memory.streamed}, activations and the reserve within the SRAM of the GEMM square`,
    found: `${formatSi(overOf(memory), 'B')} over`,
    suggestion: sequences > 1 ? 'fewer sequences, or leave --sequences out' : 'a shorter --length',
  });
}
