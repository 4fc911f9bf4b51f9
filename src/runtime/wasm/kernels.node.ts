import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { fail } from '../../core/index.ts';

/** Where scripts/build-wasm.ts puts the kernels. */
const file = fileURLToPath(new URL('../../../build/kernels.wasm', import.meta.url));

let compiled: Promise<WebAssembly.Module> | undefined;

/**
 * The compiled kernels, read once per process.
 * @throws IngotError EXECUTOR_KERNELS_MISSING
 */
export function loadKernels(): Promise<WebAssembly.Module> {
  compiled ??= readFile(file).then(
    (bytes) => WebAssembly.compile(bytes),
    (cause: unknown) => {
      compiled = undefined;
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
      return fail({
        code: 'EXECUTOR_KERNELS_MISSING',
        message: 'the WebAssembly kernels have not been built',
        where: file,
        suggestion: 'run "npm run prepare" (needs the development dependencies)',
      });
    },
  );
  return compiled;
}
