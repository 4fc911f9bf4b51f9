// Defect maps as JSON files. The text is not trusted: every entry is checked, and several problems are told at once.

import { formatCount, IngotError, didYouMean, type Diagnostic } from '../../core/index.ts';
import { parseJsonObject } from '../../model/index.ts';
import { createDefectMap, type DefectMap, type PhysLink } from './defect-map.ts';
import type { PhysPe } from './structure.ts';

/** Room for every PE of the largest wafer known to be listed; the form needs no character of more than a byte. */
export const MAX_MAP_BYTES = 2 ** 24;
/** Along an axis. The largest wafer known has 1,260 rows of PEs. */
export const MAX_MAP_SIDE = 4096;
const MAX_PROBLEMS = 8;
const FORMAT = 'ingot-defect-map';
const VERSION = 1;
const keys = ['format', 'version', 'width', 'height', 'deadPes', 'deadLinks'];

/** The form that `parseDefectMap` reads. */
export interface DefectMapFile {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  readonly width: number;
  readonly height: number;
  /** [x, y] */
  readonly deadPes: readonly (readonly [number, number])[];
  /** [x, y, side]: the link between this PE and its neighbour on that side. */
  readonly deadLinks: readonly (readonly [number, number, PhysLink['side']])[];
}

export const toFile = ({ width, height, deadPes, deadLinks }: DefectMap): DefectMapFile => ({
  format: FORMAT,
  version: VERSION,
  width,
  height,
  deadPes: deadPes.map(({ x, y }) => [x, y]),
  deadLinks: deadLinks.map(({ x, y, side }) => [x, y, side]),
});

/**
 * The defect map that a text holds.
 * @param where what the text is, for messages
 * @throws IngotError DEFECT_MAP_TOO_LARGE, DEFECT_MAP_INVALID
 */
export function parseDefectMap(text: string, where: string): DefectMap {
  if (text.length > MAX_MAP_BYTES) {
    throw new IngotError({
      code: 'DEFECT_MAP_TOO_LARGE',
      message: 'the defect map is larger than Ingot reads',
      where,
      expected: `at most ${formatCount(MAX_MAP_BYTES)} B`,
      found: `${formatCount(text.length)} B`,
    });
  }
  const file = parseJsonObject(text, where, { code: 'DEFECT_MAP_INVALID' });
  const problems: Diagnostic[] = [];
  let count = 0;
  const problem = (at: string, expected: string, found: unknown, suggestion?: string): void => {
    if (++count > MAX_PROBLEMS) return;
    problems.push({
      code: 'DEFECT_MAP_INVALID',
      message: 'the defect map is not of the form that Ingot reads',
      where: `${where}, ${at}`,
      expected,
      found: shorten(found),
      suggestion,
    });
  };

  for (const key of Object.keys(file)) {
    if (keys.includes(key)) continue;
    problem(shorten(key), `one of ${keys.join(', ')}`, key, didYouMean(key, keys));
  }
  if (file['format'] !== FORMAT) problem('format', `"${FORMAT}"`, file['format']);
  if (file['version'] !== VERSION) problem('version', `${VERSION}`, file['version']);
  const side = (key: 'width' | 'height'): number => {
    const value = file[key];
    if (isWhole(value, 1, MAX_MAP_SIDE)) return value;
    problem(key, `a whole number of PEs from 1 to ${formatCount(MAX_MAP_SIDE)}`, value);
    return 0;
  };
  const [width, height] = [side('width'), side('height')];
  const list = (key: 'deadPes' | 'deadLinks'): readonly unknown[] => {
    const value = file[key];
    if (Array.isArray(value)) return value as readonly unknown[];
    problem(key, 'a list, which may be empty', value);
    return [];
  };
  const [peList, linkList] = [list('deadPes'), list('deadLinks')];
  // Places mean nothing without a size.
  const sized = width > 0 && height > 0;

  const deadPes: PhysPe[] = [];
  for (const [i, entry] of sized ? peList.entries() : []) {
    const [x, y] = Array.isArray(entry) && entry.length === 2 ? (entry as unknown[]) : [];
    if (isWhole(x, 0, width - 1) && isWhole(y, 0, height - 1)) deadPes.push({ x, y });
    else problem(`deadPes[${i}]`, `[x, y] with x below ${width} and y below ${height}`, entry);
  }
  const deadLinks: PhysLink[] = [];
  for (const [i, entry] of sized ? linkList.entries() : []) {
    const [x, y, to] = Array.isArray(entry) && entry.length === 3 ? (entry as unknown[]) : [];
    const [maxX, maxY] = [width - (to === 'east' ? 2 : 1), height - (to === 'south' ? 2 : 1)];
    if ((to === 'east' || to === 'south') && isWhole(x, 0, maxX) && isWhole(y, 0, maxY)) {
      deadLinks.push({ x, y, side: to });
    } else {
      problem(`deadLinks[${i}]`, '[x, y, "east"] or [x, y, "south"] of a PE with a neighbour on that side', entry);
    }
  }
  if (count > MAX_PROBLEMS) {
    problems.push({ code: 'MORE_PROBLEMS', message: `${count - MAX_PROBLEMS} more of this map are not listed` });
  }
  if (problems.length > 0) throw new IngotError(problems);
  return createDefectMap({ width, height }, deadPes, deadLinks);
}

const isWhole = (value: unknown, min: number, max: number): value is number =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max;

/** What was found, short enough for a line: an entry may be megabytes long. */
function shorten(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? describeList(value) : 'an object';
  const text = JSON.stringify(typeof value === 'string' ? value.slice(0, 41) : value);
  return text.length > 42 ? `${text.slice(0, 40)}…` : text;
}

const describeList = (list: readonly unknown[]): string => {
  const shown = list.slice(0, 4).map((entry) => (typeof entry === 'object' ? '…' : shorten(entry)));
  return `[${shown.join(', ')}${list.length > 4 ? ', …' : ''}]`;
};
