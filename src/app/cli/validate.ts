import { readFileSync, statSync } from 'node:fs';

import { fail, formatCount, IngotError } from '../../core/index.ts';
import { groupErrors, validate } from '../../plan/index.ts';
import { parsePublishedRows, publishedRows, type PublishedRow } from '../../spec/index.ts';
import { addExamples, jsonOption, printJson, type CliCommand } from './command.ts';
import { renderValidation } from './report/validation-text.ts';

interface ValidateOptions {
  readonly rows?: string;
  readonly json?: boolean;
}

/** A table of the most rows that are taken, with generous conditions, is near 5 MB. */
export const MAX_ROWS_BYTES = 16 * 2 ** 20;

export const validateCommand: CliCommand<ValidateOptions> = {
  declare(command) {
    command
      .description(
        'Print measurements and claims that others published against what Ingot predicts, row by row, with the ' +
          'error. Rows that a constant was chosen from are marked "chosen" and count in no mean.',
      )
      .option(
        '--rows <file>',
        'JSON file with rows of the same form as src/spec/published/wafer.json, at most ' +
          `${formatCount(MAX_ROWS_BYTES / 2 ** 20)} MiB (default: the rows that ship with Ingot)`,
      )
      .addOption(jsonOption());
    addExamples(command, [
      ['the table', 'ingot validate'],
      ['your own measurements, as a document', 'ingot validate --rows my-rows.json --json'],
    ]);
  },

  async run(io, { rows: file, json }) {
    const rows = file === undefined ? publishedRows : readRows(file);
    const lines = validate(rows, file === undefined);
    const groups = groupErrors(lines);
    if (json === true) printJson(io, { rows: lines, groups });
    else io.out(renderValidation(rows, lines, groups, io.paint));
    return 0;
  },
};

/** @throws IngotError ROWS_FILE_UNREADABLE, ROWS_FILE_TOO_LARGE, ROWS_FILE_NOT_JSON, ROWS_INVALID */
function readRows(file: string): PublishedRow[] {
  let text: string;
  try {
    const { size } = statSync(file);
    if (size > MAX_ROWS_BYTES) {
      fail({
        code: 'ROWS_FILE_TOO_LARGE',
        message: 'the file of rows is too large',
        where: file,
        expected: `at most ${formatCount(MAX_ROWS_BYTES)} B`,
        found: `${formatCount(size)} B`,
        suggestion: 'split it',
      });
    }
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof IngotError) throw error;
    fail({
      code: 'ROWS_FILE_UNREADABLE',
      message: 'the file of rows cannot be read',
      where: file,
      found: (error as NodeJS.ErrnoException).code ?? String(error),
      suggestion: 'check the path',
    });
  }
  return parsePublishedRows(parseJson(text, file));
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    return fail({
      code: 'ROWS_FILE_NOT_JSON',
      message: 'the file of rows is not JSON',
      where: file,
      expected: 'a JSON array of rows',
      found: error instanceof Error ? error.message.slice(0, 120) : String(error),
    });
  }
}
