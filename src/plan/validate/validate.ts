// Published against predicted, row by row. Nothing here is fitted: constants live in `spec`, and the rows that
// were used to choose one are named below.

import { IngotError, nearest } from '../../core/index.ts';
import type { PublishedRow } from '../../spec/index.ts';
import { capacity } from './capacity.ts';
import { collective } from './collective.ts';
import { decode } from './decode.ts';
import { endToEnd } from './end-to-end.ts';
import { gemm } from './gemm.ts';
import { gemv } from './gemv.ts';
import { prefill } from './prefill.ts';
import type { Answer, Predictor } from './predictor.ts';
import { service } from './service.ts';
import { vector } from './vector.ts';

/** Characters of a group's name that a reason repeats. */
const MOST_SHOWN = 40;

const predictors: readonly Predictor[] = [collective, vector, gemv, gemm, decode, prefill, capacity, endToEnd, service];

/** Rows from which a constant was chosen: agreement with them is no evidence. */
const chosenFrom: Readonly<Record<string, string>> = {
  C24: 'vectorStartup',
  C25: 'bank conflict',
  D01: 'taskStart, loopIteration',
  D02: 'taskStart, loopIteration',
  D03: 'taskStart, loopIteration',
};

export interface ValidationLine {
  readonly id: string;
  readonly group: string;
  readonly quantity: string;
  readonly unit: string;
  readonly kind: string;
  readonly published: number;
  /** Absent when the model cannot answer the row; `reason` says why. */
  readonly predicted?: number;
  /** predicted / published − 1. */
  readonly error?: number;
  /** `chosen`: a constant was chosen from this row. `predicted`: none was. */
  readonly standing: 'chosen' | 'predicted' | 'not yet';
  /** The constants chosen from the row. */
  readonly constants?: string;
  readonly presumes?: string;
  readonly reason?: string;
  readonly source: string;
}

const groupNames = predictors.map(({ group }) => group);

/** An answer, or why there is none. A row that lacks a condition or names what nobody knows does not stop the others. */
function answerTo(row: PublishedRow): Answer | { readonly reason: string } {
  const predictor = predictors.find(({ group }) => group === row.group);
  if (predictor === undefined) {
    const near = nearest(row.group, groupNames);
    return {
      reason: `nothing here predicts the group "${row.group.slice(0, MOST_SHOWN)}"${near === undefined ? `; groups: ${groupNames.join(', ')}` : `: did you mean "${near}"?`}`,
    };
  }
  try {
    const answer = predictor.predict(row);
    if (answer === undefined || !(Number.isFinite(answer.value) && answer.value > 0))
      return { reason: `not what "${row.group}" answers: ${predictor.answers}` };
    const unread = Object.keys(row.conditions).filter((key) => !predictor.reads.includes(key));
    if (unread.length === 0) return answer;
    return { ...answer, presumes: `${answer.presumes}; not considered: ${unread.join(', ')}` };
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    const [{ code, message, expected, suggestion }] = error.diagnostics;
    const rest = suggestion?.startsWith('Did you mean') ? suggestion : expected && `expected ${expected}`;
    return { reason: `${code}: ${message.replace(/\.$/, '')}${rest === undefined ? '' : `; ${rest}`}` };
  }
}

/** Predict every row that the model can answer. Rows from elsewhere never count as `chosen`. */
export function validate(rows: readonly PublishedRow[], ours: boolean): ValidationLine[] {
  return rows.map((row) => {
    const answer = answerTo(row);
    const { id, group, quantity, unit, kind, value: published, source } = row;
    const known = { id, group, quantity, unit, kind, published, source };
    if (!('value' in answer)) return { ...known, ...answer, standing: 'not yet' };
    const constants = ours ? chosenFrom[id] : undefined;
    return {
      ...known,
      predicted: answer.value,
      ...(published === 0 ? {} : { error: answer.value / published - 1 }),
      standing: constants === undefined ? 'predicted' : 'chosen',
      constants,
      presumes: answer.presumes,
    };
  });
}

export interface GroupError {
  readonly group: string;
  readonly rows: number;
  /** Mean and largest of |error| over the rows that no constant was chosen from. */
  readonly mean: number;
  readonly worst: number;
}

/** How far the predictions of each group are off; rows that constants were chosen from are left out. */
export function groupErrors(lines: readonly ValidationLine[]): GroupError[] {
  const groups = new Map<string, number[]>();
  for (const line of lines) {
    if (line.standing !== 'predicted' || line.error === undefined) continue;
    const errors = groups.get(line.group) ?? [];
    errors.push(Math.abs(line.error));
    groups.set(line.group, errors);
  }
  return [...groups].map(([group, errors]) => ({
    group,
    rows: errors.length,
    mean: errors.reduce((sum, error) => sum + error, 0) / errors.length,
    worst: Math.max(...errors),
  }));
}
