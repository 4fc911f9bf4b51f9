import { formatCount, formatSi, renderTable, type Column } from '../../../core/index.ts';
import { pruningText } from '../../../model/index.ts';
import { weightsText } from '../../../wafer/index.ts';
import type { Evaluation, VariantReport } from '../../evaluate.ts';
import type { Io } from '../io.ts';
import { lineIn, percent, plural, right, wrap } from './layout.ts';

export interface EvaluationReport extends Evaluation {
  readonly model: { readonly name: string; readonly parameters: number };
  readonly text: string;
}

const line = lineIn(9);
const INDENT = '  ';

/** What tells the variants apart. */
const formats = (variants: readonly VariantReport[]): Column<VariantReport>[] => [
  { heading: 'weights', text: ({ numerics }) => weightsText(numerics) },
  ...(variants.every(({ numerics }) => numerics.kv === variants[0].numerics.kv)
    ? []
    : [{ heading: 'KV', text: ({ numerics }: VariantReport) => numerics.kv }]),
  ...(variants.every(({ pruning }) => pruning === undefined)
    ? []
    : [
        {
          heading: 'pruned',
          text: ({ pruning }: VariantReport) => (pruning === undefined ? '' : pruningText(pruning)),
        },
      ]),
];
const figures: readonly Column<VariantReport>[] = [
  right('perplexity', ({ accuracy }) => accuracy.perplexity.toPrecision(4)),
  right('agree', ({ accuracy }) => percent(accuracy.agreement)),
  right('KL', ({ accuracy }) => (accuracy.divergence === 0 ? '0' : accuracy.divergence.toPrecision(2))),
  right('size', ({ bytes }) => formatSi(bytes, 'B')),
  right('wafers', ({ wafers }) => String(wafers)),
  right('B a PE', ({ bytesPerPe }) => formatCount(bytesPerPe)),
  right('tokens/s', ({ tokensPerSecond }) => formatCount(Math.round(tokensPerSecond))),
];

export function renderEvaluation(report: EvaluationReport, paint: Io['paint']): string {
  const { model, text, tokens, windows, window, isCut, wafer, variants } = report;
  const from = text === 'shipped' ? 'the page that the shipped checkpoint was fitted to' : text;
  const part = isCut ? 'the beginning of ' : '';
  return `${[
    `${paint('bold', `${model.name} by format`)}  accuracy measured, speed on ${wafer} simulated`,
    '',
    line('model', `${formatCount(model.parameters)} parameters`),
    line(
      'text',
      `${part}${from}: ${formatCount(tokens)} tokens foretold in ${formatCount(windows)} ${plural(windows, 'window')} of ${formatCount(window)}`,
    ),
    '',
    renderTable([...formats(variants), ...figures], variants),
    '',
    wrap(
      'The first row is the model as it is stored; the others are compared with it. agree: share of positions with the ' +
        'same likeliest token; KL: mean divergence of the next token, in nats; size: weights and scales, each once; B a ' +
        'PE: weights, scales and gaps on the fullest PE of the placement, which each row has its own of; tokens/s: one ' +
        'user, at the end of a window.',
      INDENT,
      INDENT,
    ),
    ...(variants.some(({ pruning }) => pruning !== undefined && pruning.kind !== 'channels')
      ? [wrap('Zeros are stored and multiplied as any weight: they buy nothing on this machine model.', INDENT, INDENT)]
      : []),
  ].join('\n')}\n`;
}
