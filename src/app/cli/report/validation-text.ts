// Published against predicted for people, 80 columns wide.

import { formatCount, formatSi } from '../../../core/index.ts';
import type { GroupError, ValidationLine } from '../../../plan/index.ts';
import type { JsonValue, PublishedRow } from '../../../spec/index.ts';
import { LINE_WIDTH, type Io } from '../io.ts';
import { percent, plural, signed, wrap } from './layout.ts';

/** What the reader of a row must know besides its numbers. */
const said = ({ presumes, reason }: ValidationLine): string | undefined => presumes ?? reason;

/** Rows of one quantity stand together under one heading, with the conditions that they share. */
interface Block {
  readonly title: string;
  readonly shared: string;
  readonly rows: readonly { readonly line: ValidationLine; readonly conditions: string }[];
}

const NUMBER = 10;
const HEAD = `  ${'row'.padEnd(6)}${'published'.padStart(NUMBER)}${'predicted'.padStart(NUMBER)}${'error'.padStart(10)}  standing  note  `;

export function renderValidation(
  rows: readonly PublishedRow[],
  lines: readonly ValidationLine[],
  groups: readonly GroupError[],
  paint: Io['paint'],
): string {
  const heading = (text: string): string => paint('bold', text);
  const notes = [...new Set(lines.flatMap((line) => said(line) ?? []))];
  const noteOf = (line: ValidationLine): string => {
    const note = said(line);
    return note === undefined ? '' : `${notes.indexOf(note) + 1}`;
  };

  const text: string[] = [
    heading('Published against predicted'),
    wrap(
      'published: as others measured or claim it. predicted: by the closed form, simulated. error: predicted / ' +
        'published - 1. chosen: a constant of the model was chosen from this row, so its error is no evidence. ' +
        'predicted: none was. not yet: the model cannot answer the row; its note says why.',
      '',
    ),
    '',
    paint('dim', `${HEAD}differs in`),
  ];
  for (const { title, shared, rows: ofBlock } of blocksOf(rows, lines)) {
    text.push('', heading(title));
    if (shared !== '') text.push(wrap(shared, '  '));
    for (const { line, conditions } of ofBlock) text.push(rowText(line, noteOf(line), conditions, paint));
  }
  text.push('', heading('Error by group, over rows that no constant was chosen from'));
  text.push(...groupTable(lines, groups, paint));
  if (notes.length > 0)
    text.push('', heading('Notes: what was presumed where a row is silent, or why a row has no answer'));
  text.push(...notes.map((note, i) => wrap(clean(note), '      ', `  ${`${i + 1}`.padStart(2)}  `)));
  const chosen = constantsText(lines);
  if (chosen.length > 0) text.push('', heading('Constants that were chosen from rows'), ...chosen);
  text.push('', heading('Sources'), ...sourcesText(lines));
  return `${text.join('\n')}\n`;
}

function blocksOf(rows: readonly PublishedRow[], lines: readonly ValidationLine[]): Block[] {
  const blocks = new Map<string, { line: ValidationLine; row: PublishedRow }[]>();
  for (const [i, line] of lines.entries()) {
    const { group, quantity, unit, kind } = line;
    const inUnit = quantity.includes(unit) ? '' : ` [${unit}]`;
    const title = clean(`${group}: ${quantity}${inUnit} (${kind})`);
    blocks.set(title, [...(blocks.get(title) ?? []), { line, row: rows[i] }]);
  }
  return [...blocks].map(([title, ofBlock]) => {
    const texts = ofBlock.map(({ row }) => conditionTexts(row));
    const shared = texts[0].filter((text) => texts.every((others) => others.includes(text)));
    return {
      title: shorten(title, LINE_WIDTH),
      shared: shorten(shared.join(', '), MAX_SHARED),
      rows: ofBlock.map(({ line }, i) => ({
        line,
        conditions: texts[i].filter((text) => !shared.includes(text)).join(', '),
      })),
    };
  });
}

function rowText(line: ValidationLine, note: string, conditions: string, paint: Io['paint']): string {
  const { id, published, predicted, error, standing } = line;
  const head =
    `  ${shorten(clean(id), 6).padEnd(6)}${amount(published).padStart(NUMBER)}` +
    (predicted === undefined ? '-' : amount(predicted)).padStart(NUMBER);
  const offBy = error === undefined ? '-' : offText(error);
  const rest = `  ${standing.padEnd(10)}${note.padStart(3)}   `;
  const painted = error === undefined ? offBy.padStart(10) : paint(colorOf(error), offBy.padStart(10));
  return `${head}${painted}${rest}${shorten(conditions, LINE_WIDTH - HEAD.length)}`.trimEnd();
}

/** From ten times on, a percentage says less than a factor. */
const FACTOR = 9;

const offText = (error: number): string => (error >= FACTOR ? `x${formatCount(Math.round(error + 1))}` : signed(error));

const sizeText = (error: number): string => (error >= FACTOR ? offText(error) : percent(error));

/** Within the scatter of repeated measurements, off, and wrong. */
const colorOf = (error: number): 'green' | 'yellow' | 'red' =>
  Math.abs(error) <= 0.05 ? 'green' : Math.abs(error) <= 0.25 ? 'yellow' : 'red';

function amount(value: number): string {
  if (Math.abs(value) >= 1e9) return formatSi(value, '').trim();
  return Math.abs(value) >= 1000 ? formatCount(Math.round(value)) : `${Number(value.toPrecision(4))}`;
}

function groupTable(lines: readonly ValidationLine[], groups: readonly GroupError[], paint: Io['paint']): string[] {
  const count = (group: string, standing: string): number =>
    lines.filter((line) => line.group === group && line.standing === standing).length;
  const names = [...new Set(lines.map(({ group }) => group))];
  const cells = names.map((group) => {
    const errors = groups.find((known) => known.group === group);
    return [
      shorten(clean(group), 16),
      String(errors?.rows ?? 0),
      errors === undefined ? '-' : sizeText(errors.mean),
      errors === undefined ? '-' : sizeText(errors.worst),
      String(count(group, 'chosen')),
      String(count(group, 'not yet')),
    ];
  });
  const line = (row: readonly string[]): string =>
    `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(18) : cell.padStart(11))).join('')}`;
  return [paint('dim', line(['group', 'predicted', 'mean', 'worst', 'chosen', 'not yet'])), ...cells.map(line)];
}

function constantsText(lines: readonly ValidationLine[]): string[] {
  const byConstants = new Map<string, string[]>();
  for (const { id, constants } of lines) {
    if (constants === undefined) continue;
    byConstants.set(constants, [...(byConstants.get(constants) ?? []), id]);
  }
  return [...byConstants].map(([constants, ids]) => `  ${constants}: ${plural(ids.length, 'row')} ${ids.join(', ')}`);
}

function sourcesText(lines: readonly ValidationLine[]): string[] {
  const bySource = new Map<string, string[]>();
  for (const { id, source } of lines) bySource.set(source, [...(bySource.get(source) ?? []), id]);
  return [...bySource].map(([source, ids]) => wrap(clean(`${ids.join(', ')}: ${source}`), '    ', '  '));
}

/** Characters of shared conditions that are shown. */
const MAX_SHARED = 400;

/** Each condition by itself: meshes as 420x420, words as they are, all else with its name. */
function conditionTexts({ conditions }: PublishedRow): string[] {
  return Object.entries(conditions).map(([key, value]) => {
    if (typeof value === 'string') return clean(value);
    return isPair(value) ? value.join('x') : clean(`${key} ${JSON.stringify(value)}`);
  });
}

const isPair = (value: JsonValue): value is readonly number[] =>
  Array.isArray(value) && value.length === 2 && value.every((n) => typeof n === 'number');

const shorten = (text: string, width: number): string => (text.length > width ? `${text.slice(0, width - 1)}…` : text);

/** Rows may come from anybody: their texts must not steer the terminal. Control and format characters go. */
const clean = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
