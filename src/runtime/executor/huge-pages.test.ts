import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pageBytes } from '../wasm/kernels.ts';
import { askForHugePages, leastHugeBytes } from './huge-pages.node.ts';

/** Mappings of exactly `bytes` that Linux marks as advised ("hg" among the flags, proc(5)). */
function advised(bytes: number): number {
  const mappings = readFileSync('/proc/self/smaps', 'latin1').split(/\n(?=[0-9a-f]+-)/);
  return mappings.filter((mapping) => {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+)/.exec(mapping) ?? [];
    return parseInt(to, 16) - parseInt(from, 16) === bytes && /^VmFlags:.* hg\b/m.test(mapping);
  }).length;
}

const memoryOf = (pages: number): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
const leastPages = leastHugeBytes / pageBytes;

describe('huge pages', () => {
  it('are asked for behind all of a memory, where the system lets one ask', async (context) => {
    // A size that no other mapping has.
    const memory = memoryOf(leastPages + 37);
    const answer = await askForHugePages(memory);
    if (answer !== 'asked for') context.skip(answer);
    expect(advised(memory.buffer.byteLength)).toBe(1);
    expect(new Uint32Array(memory.buffer).some((word) => word !== 0)).toBe(false);
  });

  it('are not asked for behind little memory, or where somebody turned them off', async () => {
    expect(await askForHugePages(memoryOf(leastPages - 1))).toBe('small memory');
    process.env['INGOT_HUGE_PAGES'] = '0';
    try {
      expect(await askForHugePages(memoryOf(leastPages))).toBe('turned off');
    } finally {
      delete process.env['INGOT_HUGE_PAGES'];
    }
  });
});
