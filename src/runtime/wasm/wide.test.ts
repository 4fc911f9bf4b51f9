import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isSame, widenKernels } from './wide.node.ts';

const bytes = readFileSync(new URL('../../../build/kernels.wasm', import.meta.url));

/** Opcodes of f32x4.mul and f32x4.sub behind the prefix of vectors (WebAssembly 2.0, 5.4.8), LEB128. */
const prefix = 0xfd;
const [mul, sub] = [0xe6, 0xe5];

describe('kernels with 256-bit vectors', () => {
  it('compute the same bits, or say why they are not there', async () => {
    const narrow = await WebAssembly.compile(bytes);
    const wide = widenKernels(bytes, narrow);
    if (wide instanceof WebAssembly.Module) expect(isSame(wide, narrow)).toBe(true);
    else expect(wide.reason).toMatch(/older/);
  });

  it('are told from kernels that compute something else', async () => {
    const narrow = await WebAssembly.compile(bytes);
    const places: number[] = [];
    for (let i = 0; i + 2 < bytes.length; i++)
      if (bytes[i] === prefix && bytes[i + 1] === mul && bytes[i + 2] === 1) places.push(i + 1);
    expect(places.length).toBeGreaterThan(100);
    const broken = Uint8Array.from(bytes);
    for (const place of places) broken[place] = sub;
    expect(isSame(await WebAssembly.compile(broken), narrow)).toBe(false);
    const wide = widenKernels(broken, narrow);
    expect(wide).toHaveProperty('reason');
  });
});
