import { writeFileSync } from 'node:fs';

import { fail } from '../../core/index.ts';

/** @throws IngotError PICTURE_UNWRITABLE */
export function writePicture(file: string, svg: string): void {
  try {
    writeFileSync(file, svg);
  } catch (error) {
    fail({
      code: 'PICTURE_UNWRITABLE',
      message: 'the picture cannot be written',
      where: file,
      found: (error as NodeJS.ErrnoException).code ?? String(error),
      suggestion: 'choose a file in a folder that exists',
    });
  }
}
