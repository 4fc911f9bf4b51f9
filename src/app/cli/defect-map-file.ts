// Reads a map of a wafer's defects.

import { readFileSync, statSync } from 'node:fs';

import { fail, formatCount, IngotError } from '../../core/index.ts';
import { MAX_MAP_BYTES, parseDefectMap, type DefectMap } from '../../wafer/index.ts';

/** @throws IngotError DEFECT_MAP_UNREADABLE, DEFECT_MAP_TOO_LARGE; of parseDefectMap */
export const readDefectMap = (file: string): DefectMap => parseDefectMap(readMap(file), file);

function readMap(file: string): string {
  try {
    const stat = statSync(file);
    // A device or a pipe has no size to check beforehand.
    if (!stat.isFile()) unreadable(file, 'not a plain file');
    if (stat.size > MAX_MAP_BYTES) {
      fail({
        code: 'DEFECT_MAP_TOO_LARGE',
        message: 'the defect map is larger than Ingot reads',
        where: file,
        expected: `at most ${formatCount(MAX_MAP_BYTES)} B`,
        found: `${formatCount(stat.size)} B`,
      });
    }
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof IngotError) throw error;
    return unreadable(file, (error as NodeJS.ErrnoException).code ?? String(error));
  }
}

const unreadable = (file: string, found: string): never =>
  fail({
    code: 'DEFECT_MAP_UNREADABLE',
    message: 'the defect map cannot be read',
    where: file,
    found,
    suggestion: 'check the path; "ingot yield --json" prints a map under "defectMap"',
  });
