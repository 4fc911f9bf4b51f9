// Formats of weights as people write and read them: `int8,head=bf16,attention=fp8`.

import { fail, didYouMean } from '../core/index.ts';
import { weightClasses, type Numerics, type WeightClass } from './program.ts';
import { weightFormatNames, type WeightFormat } from './weight-formats.ts';

/** `int4` alone means the finest groups. */
const aliases: Readonly<Record<string, WeightFormat>> = { int4: 'int4-32' };
const spellings: readonly string[] = [...weightFormatNames, ...Object.keys(aliases)];

/** One format for all weights, and others by class. */
export type WeightChoice = Partial<Pick<Numerics, 'weights' | 'classes'>>;

/**
 * A format for all classes that are not named, and `class=format` for others, with commas between.
 * @throws IngotError WEIGHTS_UNKNOWN
 */
export function parseWeights(text: string): WeightChoice {
  let weights: WeightFormat | undefined;
  const classes: Partial<Record<WeightClass, WeightFormat>> = {};
  for (const part of text.split(',')) {
    const [first, second, ...more] = part.split('=').map((word) => word.trim());
    if (second === undefined) {
      if (weights !== undefined) refuse(text, part, 'one format for all, then class=format', undefined);
      weights = formatNamed(first, text);
      continue;
    }
    const name = weightClasses.find((known) => known === first);
    if (name === undefined)
      return refuse(text, first, `one of ${weightClasses.join(', ')}`, didYouMean(first, weightClasses));
    if (more.length > 0 || classes[name] !== undefined)
      refuse(text, part, 'each class once, as class=format', undefined);
    classes[name] = formatNamed(second, text);
  }
  return {
    ...(weights === undefined ? {} : { weights }),
    ...(Object.keys(classes).length === 0 ? {} : { classes }),
  };
}

function formatNamed(word: string, text: string): WeightFormat {
  if (Object.hasOwn(aliases, word)) return aliases[word];
  const found = weightFormatNames.find((name) => name === word);
  return found ?? refuse(text, word, `one of ${spellings.join(', ')}`, didYouMean(word, spellings));
}

function refuse(
  text: string,
  found: string,
  expected: string,
  suggestion = 'for example int8, or int4,attention=fp8,head=bf16',
): never {
  return fail({
    code: 'WEIGHTS_UNKNOWN',
    message: 'this does not say how to hold weights',
    where: text,
    expected,
    found: found === '' ? 'an empty text' : found,
    suggestion,
  });
}

/** As `parseWeights` reads it. */
export const weightsText = ({ weights, classes = {} }: WeightChoice): string =>
  [
    ...(weights === undefined ? [] : [weights]),
    ...weightClasses.flatMap((name) => (classes[name] === undefined ? [] : [`${name}=${classes[name]}`])),
  ].join(',');
