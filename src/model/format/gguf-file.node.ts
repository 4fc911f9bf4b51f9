import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';

import { filesOf, sha256, type Files } from './bounded-file.node.ts';
import type { Checkpoint } from './checkpoint.node.ts';
import { readGgufModel } from './gguf-model.ts';
import { isGguf } from './gguf.ts';

/** Whether the path is a file that starts with GGUF's magic. @throws IngotError CHECKPOINT_FILE_UNREADABLE */
export function isGgufFile(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return false;
  const file = filesOf(dirname(path)).open(basename(path));
  try {
    const start = new Uint8Array(Math.min(4, file.bytes));
    file.read(start, 0);
    return isGguf(start);
  } finally {
    file.close();
  }
}

/**
 * Open a GGUF file; its tensors stay in the file until they are read.
 * @throws IngotError of `readGgufModel`
 */
export function openGguf(files: Files, name: string): Checkpoint {
  const path = files.where(name);
  const file = files.open(name);
  let isOpen = true;
  const close = (): void => {
    if (isOpen) file.close();
    isOpen = false;
  };
  try {
    return {
      dir: path,
      files,
      ...readGgufModel(file, path),
      provenance: {
        files: [{ name, bytes: file.bytes }],
        sha256: (asked) => sha256(files, asked),
      },
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}
