import { formatCount, formatSi, renderTable, type Column } from '../../../core/index.ts';
import { weightsText } from '../../../wafer/index.ts';
import type { Evaluation, VariantReport } from '../../evaluate.ts';
import type { Io } from '../io.ts';
import { label, percent, wrap } from './layout.ts';

export interface EvaluationReport extends Evaluation {
  readonly model: { readonly name: string; readonly parameters: number };
  readonly text: string;
}

const LABEL = 9;
const INDENT = '  ';

const right = (heading: string, text: (row: VariantReport) => string): Column<VariantReport> => ({
  heading,
  text,
  align: 'right',
});

const columns: readonly Column<VariantReport>[] = [
  { heading: 'weights', text: ({ numerics }) => weightsText(numerics) },
  { heading: 'KV', text: ({ numerics }) => numerics.kv },
  right('perplexity', ({ accuracy }) => accuracy.perplexity.toPrecision(4)),
  right('agree', ({ accuracy }) => percent(accuracy.agreement)),
  right('KL, nats', ({ accuracy }) => (accuracy.divergence === 0 ? '0' : accuracy.divergence.toPrecision(2))),
  right('wafers', ({ wafers }) => String(wafers)),
  right('B a PE', ({ weightsPerPe }) => formatCount(weightsPerPe)),
  right('tokens/s', ({ tokensPerSecond }) => formatCount(Math.round(tokensPerSecond))),
];

export function renderEvaluation(report: EvaluationReport, paint: Io['paint']): string {
  const { model, text, tokens, windows, window, isCut, wafer, variants } = report;
  const from = text === 'shipped' ? 'the page that the shipped checkpoint was fitted to' : text;
  const part = isCut ? 'the beginning of ' : '';
  return `${[
    `${paint('bold', `${model.name} by format`)}  accuracy measured, speed on ${wafer} simulated`,
    '',
    label('model', `${formatCount(model.parameters)} parameters`, LABEL),
    wrap(
      `${part}${from}: ${formatCount(tokens)} tokens foretold in ${formatCount(windows)} windows of ${formatCount(window)}`,
      ' '.repeat(LABEL),
      label('text', '', LABEL),
    ),
    '',
    renderTable(columns, variants),
    '',
    wrap('The first row is the model as it is stored; agreement and divergence are from it.', INDENT, INDENT),
    wrap(
      'agree: positions with the same likeliest token; KL: mean divergence of the next token; B a PE: weights, scales and ' +
        'gaps on the fullest PE of the placement, which each format has its own of; tokens/s: one user, at the end of a window.',
      INDENT,
      INDENT,
    ),
    wrap(
      `All of the placement's PEs together: ${variants.map(({ numerics, weights }) => `${weightsText(numerics)} ${formatSi(weights, 'B')}`).join(', ')}.`,
      INDENT,
      INDENT,
    ),
  ].join('\n')}\n`;
}
