// Data that is not part of the repository: tests that want it skip where it is absent.

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';

/** Folder `name` of the shared data (INGOT_SHARED, or `shared` beside the repository), or undefined. */
export function sharedFolder(name: string): string | undefined {
  const root = process.env['INGOT_SHARED'] ?? resolve(import.meta.dirname, '..', '..', 'shared');
  const folder = join(root, name);
  return existsSync(folder) ? folder : undefined;
}
