import { existsSync } from 'node:fs';

import { Argument } from 'commander';

import { fail, formatCount, formatSi } from '../../core/index.ts';
import { isArtifactFile } from '../../compiler/index.node.ts';
import { kvTokensOf } from '../../wafer/index.ts';
import { openCompiled, placeModel } from '../place.ts';
import { addExamples, jsonOption, printJson, type CliCommand } from './command.ts';
import { renderPlacement } from './report/placement-text.ts';
import { reportPlacement } from './report/placement.ts';
import { lineIn } from './report/layout.ts';

interface InspectOptions {
  readonly json?: boolean;
}

const COLUMN = 16;
/** Cached tokens that speed is stated for, where the program has room for them. */
const KV_TOKENS = 8192;

export const inspect: CliCommand<InspectOptions> = {
  declare(command) {
    command
      .description(
        'What an artifact holds: which Ingot compiled it, what that was asked for, every input with its hash, and the ' +
          'report of the program in it. All hashes are checked.',
      )
      .addArgument(new Argument('<file>', 'an artifact, made by "ingot compile MODEL --out FILE"'))
      .addOption(jsonOption());
    addExamples(command, [
      ['make one', 'ingot compile ./checkpoint --out tiny.ingot'],
      ['look at it', 'ingot inspect tiny.ingot'],
      ['serve it', 'ingot serve --model tiny.ingot'],
    ]);
  },

  run(io, options, [file]) {
    if (!existsSync(file)) {
      fail({
        code: 'ARTIFACT_MISSING',
        message: 'there is no such file',
        where: file,
        expected: 'an artifact of Ingot',
        suggestion: 'check the path, or make one with "ingot compile MODEL --out FILE"',
      });
    }
    if (!isArtifactFile(file)) {
      fail({
        code: 'ARTIFACT_NOT_ONE',
        message: 'this is not an artifact of Ingot',
        where: file,
        suggestion: 'make one with "ingot compile MODEL --out FILE"',
      });
    }
    const model = openCompiled(file);
    try {
      const { manifest, program } = model.compiled;
      const asked = manifest.options['context'];
      const kvTokens = Math.min(typeof asked === 'number' ? asked : KV_TOKENS, kvTokensOf(program));
      const placed = placeModel(model, { wafer: program.target, kvTokens });
      const report = reportPlacement(model, placed, { kvTokens, clockGiven: false, validation: ['decode'] });
      const { compiler, options: wanted, members, llm } = manifest;
      if (options.json === true) {
        printJson(io, { compiler, options: wanted, llm, inputs: members, report });
        return Promise.resolve(0);
      }
      const line = lineIn(COLUMN);
      const inputs =
        llm === undefined
          ? members.map(
              ({ name, bytes, sha256 }) => `  ${sha256.slice(0, 16)}…  ${formatSi(bytes, 'B').padStart(8)}  ${name}`,
            )
          : [`  none: the shape of ${llm}, without weights`];
      io.out(
        `${[
          io.paint('bold', `Artifact of ${program.model}`),
          line('compiled by', `Ingot ${compiler}`),
          line('asked for', JSON.stringify(wanted).replaceAll(/[{}"]/g, '').replaceAll(/[,:]/g, '$& ')),
          line('regions', formatCount(program.stages.length)),
          io.paint('bold', 'Inputs, SHA-256 checked'),
          ...inputs,
          '',
          renderPlacement(report, io.paint),
        ].join('\n')}`,
      );
      return Promise.resolve(0);
    } finally {
      model.checkpoint?.close();
    }
  },
};
