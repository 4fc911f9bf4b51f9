import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { fail } from '../../core/index.ts';
import { isTried, widenKernels } from './wide.node.ts';

/** Where scripts/build-wasm.ts puts the kernels. */
const file = fileURLToPath(new URL('../../../build/kernels.wasm', import.meta.url));

let compiled: Promise<WebAssembly.Module> | undefined;

/**
 * The compiled kernels, read once per process; in 256-bit vectors if this engine can, unless INGOT_WIDE_VECTORS=0 is in
 * the environment (1: also on an engine on which nobody tried).
 * @throws IngotError EXECUTOR_KERNELS_MISSING
 */
export function loadKernels(): Promise<WebAssembly.Module> {
  compiled ??= readFile(file).then(
    async (bytes) => {
      const narrow = await WebAssembly.compile(bytes);
      const asked = process.env['INGOT_WIDE_VECTORS'];
      if (asked === '0' || (asked !== '1' && !isTried)) return narrow;
      const wide = widenKernels(bytes, narrow);
      if (wide instanceof WebAssembly.Module) return wide;
      process.emitWarning(`${wide.reason}: the executor keeps to 128-bit vectors`, { code: 'INGOT_NOT_WIDE' });
      return narrow;
    },
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
