// Kernels whose neighbouring 128-bit vectors V8 joins to 256-bit ones. That is an experiment of V8, so it is done only on
// the version that the tests ran on, or where somebody asks for it, and only kept if the kernels then compute the same
// bits as ever.

import { setFlagsFromString } from 'node:v8';
import { sampleKernels } from './sample.ts';

/** Older engines lack the flag or do not join what the kernels do. */
const firstV8 = 13;
/** The V8 of the Node that comes with Ingot. */
const triedV8 = '13.6.';
/** All code is final when the sample runs: no first tier, nothing left to compile later. */
const flags = ['experimental-wasm-revectorize', 'no-liftoff', 'no-wasm-lazy-compilation'];
const opposite = (flag: string): string => (flag.startsWith('no-') ? flag.slice(3) : `no-${flag}`);
/** A custom section of no content named "wide": engines share code between modules of the same bytes. */
const section = Uint8Array.of(0, 5, 4, 0x77, 0x69, 0x64, 0x65);

/** Whether to widen where nobody said: V8 joins vectors on x64 only. */
export const isTried = process.arch === 'x64' && process.versions.v8.startsWith(triedV8);

/** Why kernels were not widened. */
export interface NotWide {
  readonly reason: string;
}

/**
 * The kernels in `bytes` compiled with 256-bit vectors, or why not: an engine too old, or other results than `narrow`,
 * the same kernels compiled as usual.
 */
export function widenKernels(bytes: Uint8Array, narrow: WebAssembly.Module): WebAssembly.Module | NotWide {
  const version = process.versions.v8;
  if (Number.parseInt(version, 10) < firstV8) return { reason: `V8 ${version} is older than ${firstV8}` };
  const marked = new Uint8Array(bytes.length + section.length);
  marked.set(bytes);
  marked.set(section, bytes.length);
  for (const flag of flags) setFlagsFromString(`--${flag}`);
  let wide: WebAssembly.Module;
  try {
    // At once, so that nothing else is compiled with these flags.
    wide = new WebAssembly.Module(marked);
  } finally {
    for (const flag of flags) setFlagsFromString(`--${opposite(flag)}`);
  }
  return isSame(wide, narrow) ? wide : { reason: 'the kernels compute other bits with 256-bit vectors' };
}

/** Whether two builds of the kernels compute the same. */
export function isSame(one: WebAssembly.Module, other: WebAssembly.Module): boolean {
  const theirs = sampleKernels(other);
  // Both take the same samples.
  for (const output of sampleKernels(one))
    if (Buffer.compare(output, theirs.next().value as Uint8Array) !== 0) return false;
  return true;
}
