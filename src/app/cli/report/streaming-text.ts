// What `ingot stream` prints.

import { formatCount, formatSi } from '../../../core/index.ts';
import type { StreamedDecode, TrainingStep } from '../../../sim/index.ts';
import type { Io } from '../io.ts';
import { bar, lineIn, percent, plural, wrap } from './layout.ts';

export interface StreamingReport {
  readonly simulated: string;
  readonly caution?: string;
  readonly model: { readonly name: string; readonly parameters: number; readonly layers: number };
  readonly systems: number;
  readonly sequences: number;
  readonly length: number;
  readonly type: string;
  readonly tokensPerStep: number;
  readonly training: TrainingStep;
  readonly store: { readonly bytes: number; readonly capacity: number };
  readonly decode: StreamedDecode;
}

const COLUMN = 18;
const BAR = 24;
const line = lineIn(COLUMN);

export function renderStreaming(report: StreamingReport, paint: Io['paint']): string {
  const { model, systems, sequences, length, training, store, decode } = report;
  const { memory } = training;
  const share = (name: string, bytes: number): string =>
    `${`  ${name}`.padEnd(COLUMN)}${formatSi(bytes, 'B').padStart(9)}  ${percent(bytes / memory.capacity).padStart(7)}  ${bar(bytes / memory.capacity, BAR)}`;
  return `${[
    paint('bold', `${model.name}, weights streamed  `) + paint('yellow', 'simulated, not measured'),
    ...(report.caution === undefined ? [] : [paint('yellow', wrap(report.caution, '  '))]),
    line('model', `${formatCount(model.parameters)} parameters, ${model.layers} layers, ${report.type}`),
    line(
      'step',
      `${formatCount(systems)} ${plural(systems, 'system')} x ${formatCount(sequences)} ${plural(sequences, 'sequence')} x ${formatCount(length)} tokens = ${formatCount(report.tokensPerStep)} tokens`,
    ),
    '',
    paint('bold', 'Training'),
    line('a step', formatSi(training.step, 's')),
    line('tokens/s', formatCount(Math.round(training.tokensPerSecond))),
    line(
      'a layer computes',
      `${formatSi(training.layerCompute, 's')} forward, ${training.backwardWork} times that backward`,
    ),
    line('a layer moves', `${formatSi(training.layerTransfer, 's')}, weights in or gradients out`),
    line('waiting', `${percent(training.waiting)} of the step, for weights and gradients`),
    line(
      'balance',
      `from ${formatCount(training.balance)} tokens a system on, a forward layer computes as long as its weights take to come`,
    ),
    line(
      'store',
      `${formatSi(store.bytes, 'B')} for weights, gradients and Adam; the largest holds ${formatSi(store.capacity, 'B')}`,
    ),
    '',
    paint('bold', `Memory of a system, ${formatSi(memory.capacity, 'B')}`),
    share('reserved', memory.reserved),
    share(`two ${memory.streamed}`, memory.weights),
    share('between layers', memory.boundaries),
    share('inside layers', memory.inside),
    ...(memory.streamed === 'matrices'
      ? [wrap('Weights come matrix by matrix: two whole layers would not fit.', '  ')]
      : []),
    ...(training.recompute
      ? [wrap('Activations inside layers are computed again on the way back: kept, they would not fit.', '  ')]
      : []),
    '',
    paint('bold', 'Serving that way'),
    line(
      'one user',
      `${decode.tokensPerSecondPerUser.toPrecision(3)} tokens/s at most: every token waits ${formatSi(decode.step, 's')} for the whole model. Services keep weights on the wafers ("ingot compile").`,
    ),
    '',
    paint(
      'dim',
      wrap(
        `Rests on: ${report.simulated}; data parallelism, the same weights to all systems at once; the store sends as fast as one system takes. No published step of training is compared with it.`,
        '',
      ),
    ),
  ].join('\n')}\n`;
}
