// Compiles src/runtime/wasm to build/kernels.wasm. Runs as npm's `prepare`, so after every `npm ci`; does nothing
// when the sources, the options and the compiler are those of the last build.

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const sourceFolder = join(root, 'src/runtime/wasm');
const outputFolder = join(root, 'build');
const output = join(outputFolder, 'kernels.wasm');
const stamp = join(outputFolder, 'kernels.sha256');

const options = [
  '-O3',
  '--noAssert',
  '--runtime',
  'stub',
  '--enable',
  'simd,threads',
  '--importMemory',
  '--sharedMemory',
  '--initialMemory',
  '1',
  '--maximumMemory',
  '65536',
  // Vectors are passed between our own functions only.
  '--disableWarning',
  'AS112',
];

/** Digest of everything that decides the output; a test compares it with the stamp of the build. */
export function sourceDigest(): string {
  const hash = createHash('sha256')
    .update(options.join(' '))
    .update(compilerVersion() ?? '');
  const sources = readdirSync(sourceFolder).filter((name) => name.endsWith('.as.ts') || name === 'layout.ts');
  for (const name of sources.sort()) hash.update(name).update(readFileSync(join(sourceFolder, name)));
  return hash.digest('hex');
}

/** The digest that the built kernels were made from, if there are any. */
export function builtDigest(): string | undefined {
  try {
    readFileSync(output);
    return readFileSync(stamp, 'utf8');
  } catch {
    return undefined;
  }
}

function compilerVersion(): string | undefined {
  try {
    const manifest = createRequire(import.meta.url)('assemblyscript/package.json') as { version: string };
    return manifest.version;
  } catch {
    return undefined;
  }
}

export async function buildKernels(): Promise<void> {
  const digest = sourceDigest();
  if (builtDigest() === digest) return;
  if (compilerVersion() === undefined) {
    process.stderr.write('WebAssembly kernels not built: the development dependencies are not installed\n');
    return;
  }
  const asc = await import('assemblyscript/asc');
  mkdirSync(outputFolder, { recursive: true });
  // Written aside and renamed, so that a running process never reads half a file.
  const partial = `${output}.${process.pid}.tmp`;
  const { error, stderr } = await asc.main([
    'src/runtime/wasm/kernels.as.ts',
    '--baseDir',
    root,
    ...options,
    '--outFile',
    partial.slice(root.length + 1),
  ]);
  if (error) {
    rmSync(partial, { force: true });
    process.stderr.write(stderr.toString());
    throw error;
  }
  renameSync(partial, output);
  writeFileSync(stamp, digest);
}

if (process.argv[1] === import.meta.filename) await buildKernels();
