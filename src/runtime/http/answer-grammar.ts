// The grammar that an answer is held to: by its format, by calls that it must make, and thoughts that may go before either.

import { IngotError } from '../../core/index.ts';
import type { Tokenizer } from '../../model/index.ts';
import { ApiError, type ResponseFormat, type Tool, type ToolChoice } from '../../protocol/index.ts';
import {
  choice,
  compileGrammar,
  createGrammarProcessor,
  createGrammarVocabulary,
  createJsonText,
  createPatternWork,
  literal,
  NOTHING,
  optional,
  repeat,
  schemaExpression,
  sequence,
  textUntil,
  type Expression,
  type Grammar,
  type GrammarVocabulary,
} from '../grammar/index.ts';
import type { LogitsProcessor } from '../logits-processor.ts';
import { THINK, THOUGHT, type ThoughtState } from './reasoning.ts';
import type { ToolFormat } from './tool-format/index.ts';

export interface AnswerRules {
  readonly format: ResponseFormat;
  readonly tools: readonly Tool[];
  readonly choice: ToolChoice;
  readonly parallel: boolean;
  readonly thoughts: ThoughtState;
}

/** Compiled grammars that are kept, each with the masks of its states. */
const KEPT_GRAMMARS = 16;

export interface AnswerGrammars {
  /**
   * @param shown special tokens that are text in this answer
   * @returns what makes a processor for each answer, or undefined where nothing is asked of their form
   * @throws ApiError 400
   */
  processorOf(
    rules: AnswerRules,
    toolFormat: ToolFormat,
    shown: ReadonlySet<number>,
  ): (() => LogitsProcessor) | undefined;
}

export function createAnswerGrammars(tokenizer: Tokenizer, eos: readonly number[]): AnswerGrammars {
  const vocabularies = new Map<string, GrammarVocabulary>();
  const grammars = new Map<string, Grammar>();

  const vocabularyOf = (shown: ReadonlySet<number>): GrammarVocabulary => {
    const key = [...shown].join();
    let vocabulary = vocabularies.get(key);
    if (vocabulary === undefined) vocabularies.set(key, (vocabulary = createGrammarVocabulary(tokenizer, shown)));
    return vocabulary;
  };

  return {
    processorOf(rules, toolFormat, shown) {
      if (!isHeld(rules, toolFormat)) return undefined;
      const vocabulary = vocabularyOf(shown);
      const key = `${[...shown].join()} ${JSON.stringify(rules)}`;
      let grammar = grammars.get(key);
      if (grammar === undefined) grammar = compileGrammar(expressionOf(rules, toolFormat, vocabulary.allBytes));
      // The newest last, so that the first is the one to go.
      grammars.delete(key);
      grammars.set(key, grammar);
      for (const oldest of grammars.keys()) {
        if (grammars.size <= KEPT_GRAMMARS) break;
        grammars.delete(oldest);
      }
      const compiled = grammar;
      return () => createGrammarProcessor(compiled, vocabulary, eos);
    },
  };
}

const isForced = ({ kind }: ToolChoice): boolean => kind === 'required' || kind === 'named';

/** A call that may come anywhere can be held to its schema only where a mark announces it. */
const hasStrict = ({ tools, choice: { kind } }: AnswerRules, toolFormat: ToolFormat): boolean =>
  kind === 'auto' && toolFormat.begin !== undefined && tools.some((tool) => tool.strict);

const isHeld = (rules: AnswerRules, toolFormat: ToolFormat): boolean =>
  rules.format.kind !== 'text' || isForced(rules.choice) || hasStrict(rules, toolFormat);

function expressionOf(rules: AnswerRules, toolFormat: ToolFormat, allBytes: boolean): Expression {
  const { format, tools, choice: asked, thoughts } = rules;
  const json = createJsonText({ allBytes });
  const work = createPatternWork();
  const named = asked.kind === 'named' ? tools.filter(({ name }) => name === asked.name) : tools;
  const callables = (asked.kind === 'none' ? [] : named).map((tool) => ({
    name: tool.name,
    // A tool that may be called need not be one whose schema can be held to.
    arguments:
      tool.parameters === undefined
        ? literal('{}')
        : isForced(asked) || tool.strict
          ? refusable(
              () => schemaExpression(tool.parameters, { allBytes, where: `tools.${tool.name}.parameters`, work }),
              'tools',
            )
          : json.anyObject,
  }));
  const calls = (begun: boolean): Expression =>
    asked.kind === 'none' ? NOTHING : toolFormat.calls(callables, { parallel: rules.parallel, begun, json });
  const content = (): Expression => {
    if (format.kind === 'json_object') return json.anyObject;
    if (format.kind === 'json_schema') {
      return refusable(
        () => schemaExpression(format.schema, { allBytes, where: format.where, work }),
        format.where.split('.')[0],
      );
    }
    // Text, and calls from their mark on.
    const begin = toolFormat.begin ?? '';
    return choice(textUntil(begin, false), sequence(textUntil(begin, true), calls(true)));
  };
  const answer = isForced(asked) ? calls(false) : format.kind === 'text' ? content() : choice(content(), calls(false));
  if (thoughts === 'done') return answer;
  const thought = sequence(textUntil(THOUGHT, true), repeat(literal('\n'), 0, 2));
  return thoughts === 'open'
    ? sequence(thought, answer)
    : choice(answer, sequence(literal(THINK), thought, optional(literal('\n')), answer));
}

/** Compiles at once, so that what a schema asks in vain is told with its field. */
function refusable(make: () => Expression, param: string): Expression {
  try {
    const expression = make();
    compileGrammar(expression);
    return expression;
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    throw new ApiError(
      {
        status: 400,
        code: 'invalid_schema',
        param,
        message: error.diagnostics
          .map(({ message, where, expected, suggestion }) =>
            [`${where ?? param}: ${message}`, expected && `expected ${expected}`, suggestion]
              .filter(Boolean)
              .join('; '),
          )
          .join('. '),
      },
      { cause: error },
    );
  }
}
