import { writeFileSync } from 'node:fs';
import { extname } from 'node:path';

import { fail } from '../../core/index.ts';

const nameOf: Readonly<Record<string, string>> = { '.svg': 'SVG', '.png': 'PNG' };

/** Parser of an option that names a picture: refused before any work where no picture of that kind is drawn. */
export const pictureFile =
  (what: string, endings: readonly string[] = ['.svg']) =>
  /** @throws IngotError PICTURE_FORMAT */
  (file: string): string =>
    endings.includes(extname(file))
      ? file
      : fail({
          code: 'PICTURE_FORMAT',
          message: `${what} is drawn as ${endings.map((ending) => nameOf[ending]).join(' or ')}`,
          where: file,
          expected: `a file that ends in ${endings.join(' or ')}`,
        });

/** @throws IngotError PICTURE_UNWRITABLE */
export function writePicture(file: string, picture: string | Uint8Array): void {
  try {
    writeFileSync(file, picture);
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
