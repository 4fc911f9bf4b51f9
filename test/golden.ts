// Golden files: text that a person reads in review. They show change, not truth.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';

const folder = join(import.meta.dirname, 'golden');

/**
 * Compare `text` with `test/golden/<name>`. Set UPDATE_GOLDEN=1 to write the file instead.
 * @param text must not depend on machine, time or folder; a final newline is added
 */
export function expectGolden(name: string, text: string): void {
  const path = join(folder, name);
  const content = `${text.trimEnd()}\n`;
  if (process.env['UPDATE_GOLDEN'] === '1') {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return;
  }
  if (!existsSync(path)) expect.unreachable(`test/golden/${name} is missing; UPDATE_GOLDEN=1 writes it`);
  expect(content).toBe(readFileSync(path, 'utf8'));
}
