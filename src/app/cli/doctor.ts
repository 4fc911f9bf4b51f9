import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { formatCount, formatSi, IngotError } from '../../core/index.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { askForHugePages, leastHugeBytes } from '../../runtime/index.node.ts';
import { openFolder, shippedCheckpoint } from '../place.ts';
import { addExamples, jsonOption, printJson, wholeOption, type CliCommand } from './command.ts';
import type { Io, Style } from './io.ts';
import { wrap } from './report/layout.ts';
import { DEFAULT_PORT } from './serve.ts';
import { probePort } from './serving-loop.ts';

interface DoctorOptions {
  readonly host: string;
  readonly port: number;
  readonly json?: boolean;
}

type Health = 'ok' | 'note' | 'warn' | 'fail';

interface Check {
  readonly name: string;
  readonly health: Health;
  readonly found: string;
  readonly suggestion?: string;
}

const root = join(import.meta.dirname, '..', '..', '..');
/** Where scripts/build-wasm.ts puts the kernels, and scripts/install-oracles.ts the oracles. */
const kernels = join(root, 'build', 'kernels.wasm');
const oracles = ['node-llama-cpp', 'onnxruntime-node'];

/** WebAssembly core specification, 4.2.8. */
const WASM_PAGE_BYTES = 65_536;
/** Free memory below which only the smallest models load. */
const LITTLE_MEMORY = 1e9;

export const doctor: CliCommand<DoctorOptions> = {
  declare(command) {
    command
      .description('Check that this machine has what Ingot needs, and say what to do where it has not.')
      .option('--host <address>', 'address of which the port is tried', '127.0.0.1')
      .addOption(
        wholeOption('--port <number>', 'port to try, as "ingot serve" will use', 1, 65_535).default(DEFAULT_PORT),
      )
      .addOption(jsonOption());
    addExamples(command, [
      ['all checks', 'ingot doctor'],
      ['is another port free?', 'ingot doctor --port 9000'],
    ]);
  },

  async run(io, { host, port, json }) {
    const checks = [
      checkNode(),
      checkWasm(),
      checkKernels(),
      checkMemory(),
      checkCores(),
      await checkHugePages(),
      checkCheckpoint(),
      await checkPort(host, port),
      checkOracles(),
    ];
    const isFit = checks.every(({ health }) => health !== 'fail');
    if (json === true) printJson(io, { fit: isFit, checks });
    else {
      io.out(checks.map((check) => render(check, io)).join(''));
      const warnings = checks.filter(({ health }) => health === 'warn').length;
      const failures = checks.filter(({ health }) => health === 'fail').length;
      io.out(isFit ? `\nready${warnings > 0 ? `, ${warnings} to look at` : ''}: ingot up\n` : `\n${failures} failed\n`);
    }
    return isFit ? 0 : 1;
  },
};

const styles: Readonly<Record<Health, Style>> = { ok: 'green', note: 'dim', warn: 'yellow', fail: 'red' };

function render({ name, health, found, suggestion }: Check, io: Io): string {
  const indent = ' '.repeat(20);
  const lines = wrap(found, indent, `${health.padEnd(6)}${name.padEnd(14)}`);
  const painted = io.paint(styles[health], lines.slice(0, 4)) + lines.slice(4);
  return `${painted}\n${suggestion === undefined ? '' : `${wrap(suggestion, indent)}\n`}`;
}

function checkNode(): Check {
  const wanted = packageJson.engines.node.replace('>=', '');
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [wantedMajor, wantedMinor] = wanted.split('.').map(Number);
  const isEnough = major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
  return {
    name: 'Node',
    found: `${process.version}, needs ${wanted} or newer`,
    ...(isEnough ? { health: 'ok' } : { health: 'fail', suggestion: 'install a newer Node' }),
  };
}

/** Smallest modules that use a feature: an i8x16.splat, and an atomic load of a shared memory. */
const features = {
  SIMD: [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11],
  threads: [
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254, 16, 2, 0,
    26, 11,
  ],
};

function checkWasm(): Check {
  const missing = Object.entries(features)
    .filter(([, bytes]) => !WebAssembly.validate(Uint8Array.from(bytes)))
    .map(([name]) => name);
  return missing.length === 0
    ? { name: 'WebAssembly', health: 'ok', found: Object.keys(features).join(', ') }
    : {
        name: 'WebAssembly',
        health: 'fail',
        found: `without ${missing.join(', ')}`,
        suggestion: 'use Node on a 64-bit processor with vector instructions, without flags that turn them off',
      };
}

function checkKernels(): Check {
  const name = 'kernels';
  const suggestion = 'run "npm run prepare" (needs the development dependencies)';
  if (!existsSync(kernels)) return { name, health: 'fail', found: 'not built', suggestion };
  const bytes = readFileSync(kernels);
  return WebAssembly.validate(bytes)
    ? { name, health: 'ok', found: `built, ${formatCount(bytes.length)} B` }
    : { name, health: 'fail', found: 'build/kernels.wasm is damaged', suggestion };
}

function checkMemory(): Check {
  const free = process.availableMemory();
  const found = `${formatSi(free, 'B')} free`;
  return free >= LITTLE_MEMORY
    ? { name: 'memory', health: 'ok', found }
    : {
        name: 'memory',
        health: 'warn',
        found,
        suggestion: 'enough for the shipped checkpoint; a model of 500 M parameters needs 1.5 GB or more',
      };
}

function checkCores(): Check {
  const cores = availableParallelism();
  const found = `${cores}`;
  return cores >= 2
    ? { name: 'cores', health: 'ok', found }
    : { name: 'cores', health: 'warn', found, suggestion: 'use --threads 1' };
}

async function checkHugePages(): Promise<Check> {
  const name = 'huge pages';
  const pages = leastHugeBytes / WASM_PAGE_BYTES;
  const answer = await askForHugePages(new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }));
  if (answer === 'asked for' || answer === 'given to all') return { name, health: 'ok', found: `weights: ${answer}` };
  return { name, health: 'note', found: `${answer}: one token at a time is some 10 % slower with pages of 4 KiB` };
}

function checkCheckpoint(): Check {
  const name = 'checkpoint';
  try {
    const { checkpoint, parameters } = openFolder(shippedCheckpoint);
    checkpoint.close();
    return { name, health: 'ok', found: `shipped one readable, ${formatCount(parameters)} parameters` };
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    const [{ code, message, where }] = error.diagnostics;
    return {
      name,
      health: 'fail',
      found: `${code}: ${message}${where === undefined ? '' : ` (${where})`}`,
      suggestion: 'restore the folder checkpoint/ from the repository, or pass --model DIR',
    };
  }
}

async function checkPort(host: string, port: number): Promise<Check> {
  const name = `port ${port}`;
  try {
    await probePort(host, port);
    return { name, health: 'ok', found: `free on ${host}` };
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    const [{ message, suggestion }] = error.diagnostics;
    return { name, health: 'fail', found: message, suggestion };
  }
}

function checkOracles(): Check {
  const missing = oracles.filter((name) => !existsSync(join(root, '.oracles', 'node_modules', name, 'package.json')));
  return missing.length === 0
    ? { name: 'oracles', health: 'ok', found: oracles.join(', ') }
    : {
        name: 'oracles',
        health: 'note',
        found: `not installed: ${missing.join(', ')}; some tests skip, nothing else needs them`,
        suggestion: 'node scripts/install-oracles.ts',
      };
}
