import { fail } from '../../core/index.ts';
import { complete, type CompletionAnswer, type CompletionBody, type Post } from '../completion.ts';
import { openServing, type Serving } from '../serving.ts';
import { addExamples, jsonOption, numberOption, printJson, wholeOption, type CliCommand } from './command.ts';
import { contextOption, modelOption, threadsOption, servedWaferOption } from './placement-options.ts';
import { createProgress } from './progress.ts';
import { causes } from './report/layout.ts';
import { timingTable } from './report/timing-text.ts';

interface RunOptions {
  readonly model?: string;
  readonly prompt: string;
  readonly chat?: boolean;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly seed: number;
  readonly stop?: readonly string[];
  readonly wafer?: string;
  readonly context: number;
  readonly threads: 1 | 2;
  readonly json?: boolean;
}

/** Exit code of a program that Ctrl-C ended, as shells give it. */
const INTERRUPTED = 130;

export const run: CliCommand<RunOptions> = {
  declare(command) {
    command
      .description(
        'Complete one prompt on this machine and stream the text to standard output; real and simulated timing ' +
          'follow on standard error. The same options give the same text.',
      )
      .addOption(modelOption())
      .requiredOption('--prompt <text>', 'text to go on from, or with --chat a message to answer')
      .option('--chat', "wrap the prompt as a user's message in the chat template of the checkpoint")
      .addOption(wholeOption('--max-tokens <count>', 'most tokens of the answer', 1, 1e6).default(128))
      .addOption(
        numberOption('--temperature <value>', '0 takes the likeliest token, 1 samples as the model says', {
          min: 0,
          max: 2,
        }).default(0),
      )
      .addOption(
        numberOption('--top-p <share>', 'sample among the likeliest tokens that hold this share (default: 1, all)', {
          min: 0,
          max: 1,
          aboveMin: true,
        }),
      )
      .addOption(wholeOption('--top-k <count>', 'sample among this many tokens (default: all)', 1, 1e6))
      .addOption(wholeOption('--seed <number>', 'seed of the sampler', 0, Number.MAX_SAFE_INTEGER).default(0))
      .option('--stop <text...>', 'end the answer before this text; several may be given (default: none)')
      .addOption(servedWaferOption())
      .addOption(contextOption())
      .addOption(threadsOption())
      .addOption(jsonOption());
    addExamples(command, [
      ['go on from a text', 'ingot run --prompt "The wafer is"'],
      ['ask, and sample', 'ingot run --chat --prompt "What is a wafer?" --temperature 0.8 --seed 7'],
      ['another checkpoint, as a document', 'ingot run --model ./my-model --prompt Hello --json'],
    ]);
  },

  async run(io, options) {
    const { model, wafer, context: kvTokens, threads, prompt, chat } = options;
    const signal = io.interrupt();
    const progress = createProgress(io, 'loading weights');
    let serving: Serving | undefined;
    try {
      serving = await openServing({
        models: [{ model }],
        wafer,
        kvTokens,
        threads,
        signal,
        onProgress: progress.update,
        onFailure: (error) => io.err(`\n${causes(error)}\n`),
      }).finally(progress.end);
      if (chat === true && !serving.first.hasChat) {
        fail({
          code: 'CHAT_TEMPLATE_MISSING',
          message: 'the checkpoint has no chat template',
          where: '--chat',
          suggestion: 'leave --chat out, or use an instruct release of the model',
        });
      }
      const answer = await complete(
        askDirectly(serving),
        bodyOf(serving, options),
        chat === true ? { message: prompt } : { text: prompt },
        options.json === true ? () => {} : io.out,
        signal,
      );
      if (options.json === true) printJson(io, documentOf(serving, options, answer));
      else {
        io.out('\n');
        io.err(`\n${timingTable(answer, serving.first.placed.facts.name, io.paintErr)}`);
      }
      return 0;
    } catch (error) {
      if (!signal.aborted) throw error;
      io.err('\ninterrupted\n');
      return INTERRUPTED;
    } finally {
      await serving?.close();
    }
  },
};

/** No socket: the handlers are called as a server would. */
const askDirectly =
  ({ api }: Serving): Post =>
  async (path, body, signal) => {
    const response = await api.handle({ method: 'POST', path, body, signal });
    const pieces = typeof response.body === 'string' ? onePiece(response.body) : response.body;
    return { status: response.status, pieces };
  };

async function* onePiece(text: string): AsyncIterable<string> {
  yield text;
}

function bodyOf(
  { first: { id } }: Serving,
  { maxTokens, temperature, topP, topK, seed, stop }: RunOptions,
): CompletionBody {
  return { model: id, max_tokens: maxTokens, temperature, seed, top_p: topP, top_k: topK, stop };
}

const documentOf = ({ first: { id } }: Serving, { prompt, chat }: RunOptions, answer: CompletionAnswer) => ({
  model: id,
  prompt,
  chat: chat === true,
  text: answer.text,
  finish_reason: answer.reason,
  usage: answer.usage,
  time_info: answer.times,
});
