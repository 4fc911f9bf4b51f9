// Draws docs/validation.svg: predicted over published for every row that the model answers.
// usage: node scripts/draw-validation.ts     (a test holds the file to what this writes)
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { validate, validationPicture } from '../src/plan/index.ts';
import { publishedRows } from '../src/spec/index.ts';

writeFileSync(
  join(import.meta.dirname, '..', 'docs', 'validation.svg'),
  validationPicture(validate(publishedRows, true)),
);
