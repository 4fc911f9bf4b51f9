// Weights in pages of 2 MiB. Decoding reads all of them for every token, and with 4 KiB pages the CPU stops to look up where
// each lies. Linux gives huge pages to memory for which they were asked ("madvise", what most distributions ship), and
// WebAssembly cannot ask; a foreign call can. It is one call, on memory that nobody has touched, and nothing depends on it.

import { readFile } from 'node:fs/promises';

/** Advice MADV_HUGEPAGE of madvise(2), Linux. */
const MADV_HUGEPAGE = 14;
/** Below, a CPU's translation cache holds the 4 KiB pages too: 4,096 entries and less. */
export const leastHugeBytes = 2 ** 24;
/** Where Linux says to whom it gives huge pages: "always [madvise] never". */
const policyFile = '/sys/kernel/mm/transparent_hugepage/enabled';

/** Whether a memory has huge pages, or why not. */
export type HugePages =
  | 'asked for'
  | 'given to all'
  | 'small memory'
  | 'turned off'
  | 'not Linux'
  | 'not given'
  | 'no koffi';

/**
 * Ask for huge pages behind all of `memory`, before its first use, unless INGOT_HUGE_PAGES=0 is in the environment.
 * What it computes is the same in every case.
 */
export async function askForHugePages({ buffer }: WebAssembly.Memory): Promise<HugePages> {
  if (buffer.byteLength < leastHugeBytes) return 'small memory';
  if (process.env['INGOT_HUGE_PAGES'] === '0') return 'turned off';
  if (process.platform !== 'linux') return 'not Linux';
  const policy = await readFile(policyFile, 'utf8').catch(() => '[never]');
  if (policy.includes('[always]')) return 'given to all';
  if (policy.includes('[never]')) return 'not given';
  // An optional dependency, which systems that it has no build for go without, as do those on which the call is not to be found.
  const madvise = await import('koffi')
    .then(({ default: koffi }) => koffi.load(null).func('int madvise(void *address, size_t length, int advice)'))
    .catch(() => undefined);
  if (madvise === undefined) return 'no koffi';
  return madvise(new Uint8Array(buffer), buffer.byteLength, MADV_HUGEPAGE) === 0 ? 'asked for' : 'not given';
}
