import { formatCount, formatSi, renderTable, type Column } from '../../core/index.ts';
import { activeParameterCount, archs, graphOf, parameterCount } from '../../model/index.ts';
import { llms, type LlmFacts } from '../../spec/index.ts';
import { addExamples, jsonOption, printJson, type CliCommand } from './command.ts';
import { right, wrap } from './report/layout.ts';

/** What the registry says of a model, and what Ingot can do with it. */
interface ModelLine {
  readonly id: string;
  readonly name: string;
  readonly arch: string;
  readonly parameters: number;
  /** Those that one token passes; all but experts that it is not sent to. */
  readonly activeParameters: number;
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  /** Absent for latent attention, which caches no heads. */
  readonly kvHeads?: number;
  readonly vocab: number;
  readonly context: number;
  /** Whether a checkpoint of it can be executed, or only its size and speed computed. */
  readonly executable: boolean;
  /** What cannot be executed. */
  readonly missing: readonly string[];
  readonly source: string;
}

function lineOf({ id, name, shape, source }: LlmFacts): ModelLine {
  const { arch, attention, layers, hidden, vocab, maxContext } = shape;
  const missing = graphOf(shape).unsupported;
  const reads = archs.find((known) => known.id === arch)?.parse !== undefined;
  return {
    id,
    name,
    arch,
    parameters: parameterCount(shape),
    activeParameters: activeParameterCount(shape),
    layers,
    hidden,
    heads: attention.heads,
    ...(attention.kind === 'gqa' ? { kvHeads: attention.kvHeads } : {}),
    vocab,
    context: maxContext,
    executable: reads && missing.length === 0,
    missing,
    source,
  };
}

/** As people write them: B for 10⁹, where units have G. */
const billions = (count: number): string => formatSi(count, '').trim().replace('G', 'B');

const columns: readonly Column<ModelLine>[] = [
  { heading: 'name', text: ({ id }) => id },
  right('parameters', ({ parameters }) => billions(parameters)),
  right('layers', ({ layers }) => String(layers)),
  right('hidden', ({ hidden }) => formatCount(hidden)),
  right('heads/kv', ({ heads, kvHeads }) => `${heads}/${kvHeads ?? '-'}`),
  right('context', ({ context }) => formatCount(context)),
  { heading: 'use', text: ({ executable }) => (executable ? 'executable' : 'sizing only') },
];

export const models: CliCommand<{ readonly json?: boolean }> = {
  declare(command) {
    command
      .description('List the models that Ingot knows by name, as "ingot compile" takes them. Shapes only, no weights.')
      .addOption(jsonOption());
    addExamples(command, [
      ['the list', 'ingot models'],
      ['size and speed of one of them', 'ingot compile mistral-7b'],
    ]);
  },

  async run(io, { json }) {
    const lines = Object.values(llms).map(lineOf);
    if (json === true) {
      printJson(io, { models: lines });
      return 0;
    }
    const [head, ...rest] = renderTable(columns, lines).split('\n');
    io.out(
      `${[io.paint('bold', head), ...rest].join('\n')}\n\n` +
        `${wrap('executable: a checkpoint of this model can be run and served (ingot serve --model PATH) where its weights fit 4 GiB; sizing only: its size and speed can be computed (ingot compile NAME), as of all others.', '')}\n`,
    );
    return 0;
  },
};
