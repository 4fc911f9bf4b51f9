// Installs the implementations that tests and benches compare with: llama.cpp (node-llama-cpp) and ONNX
// Runtime. They are no dependencies: large, needed by nobody who runs Ingot, and their install scripts fetch
// from hosts that may be out of reach, so scripts are off and the prebuilt CPU library comes as a package.
//
//   node scripts/install-oracles.ts         into .oracles/ (ignored by git); a second run does nothing

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';

/** Versions whose results the tests were written against. */
const packages: Readonly<Record<string, string>> = {
  'node-llama-cpp': '3.22.1',
  '@node-llama-cpp/linux-x64': '3.22.1',
  'onnxruntime-node': '1.30.0',
};

const folder = resolve(import.meta.dirname, '..', '.oracles');

function installedVersion(name: string): string | undefined {
  const file = join(folder, 'node_modules', name, 'package.json');
  if (!existsSync(file)) return undefined;
  return (JSON.parse(readFileSync(file, 'utf8')) as { version?: string }).version;
}

const missing = (): string[] =>
  Object.entries(packages)
    .filter(([name, version]) => installedVersion(name) !== version)
    .map(([name, version]) => `${name}@${version}`);

function stop(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

if (process.platform !== 'linux' || process.arch !== 'x64') {
  stop(
    `The oracles are installed on linux-x64 only; this is ${process.platform}-${process.arch}. Tests that need them skip.`,
  );
}
if (missing().length === 0) {
  process.stdout.write(`oracles are installed in ${folder}\n`);
  process.exit(0);
}
mkdirSync(folder, { recursive: true });
// Without a package.json of its own, npm would climb to the project's and change that.
writeFileSync(
  join(folder, 'package.json'),
  `${JSON.stringify({ name: 'oracles', private: true, dependencies: packages }, undefined, 2)}\n`,
);
// Optional packages are the builds for other machines and GPUs, more than a gigabyte.
const run = spawnSync(
  'npm',
  [
    'install',
    '--ignore-scripts',
    '--omit=optional',
    '--no-package-lock',
    '--no-audit',
    '--no-fund',
    '--prefix',
    folder,
  ],
  { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] },
);
if (run.error !== undefined) stop(`npm could not be started: ${run.error.message}`);
if (run.status !== 0) stop(`npm install of the oracles failed with exit code ${run.status}; see its output above.`);
const still = missing();
if (still.length > 0) stop(`npm reported success, but these are not in ${folder}: ${still.join(', ')}`);
process.stdout.write(`oracles installed in ${folder}: ${Object.keys(packages).join(', ')}\n`);
