// Block formats of ggml for tests: two quantizers, and blocks of random bits with scales of a sane size (any bits are a
// valid block). Layouts: ggml/src/ggml-common.h of https://github.com/ggml-org/ggml

import type { Rng } from '../src/core/index.ts';

/** Bits of the half nearest to a value below 65,520 in magnitude. */
export function f16Bits(value: number): number {
  const sign = value < 0 ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude || Number.MIN_VALUE)));
  // In steps of the last place; a carry into the exponent comes out right by itself.
  const steps = Math.round(magnitude / 2 ** (exponent - 10));
  return sign | (steps < 1024 ? steps : ((exponent + 14) << 10) + steps);
}

function quantize(
  values: Float32Array,
  bytesPerBlock: number,
  fill: (block: Float32Array, bytes: Uint8Array, view: DataView) => void,
): Uint8Array {
  const bytes = new Uint8Array((values.length / 32) * bytesPerBlock);
  for (let i = 0; i * 32 < values.length; i++) {
    const block = bytes.subarray(i * bytesPerBlock, (i + 1) * bytesPerBlock);
    fill(values.subarray(32 * i, 32 * i + 32), block, new DataView(bytes.buffer, i * bytesPerBlock, bytesPerBlock));
  }
  return bytes;
}

/** The largest magnitude becomes 127. */
export const quantizeQ8_0 = (values: Float32Array): Uint8Array =>
  quantize(values, 34, (block, _, view) => {
    const scale = block.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 127;
    view.setUint16(0, f16Bits(scale), true);
    block.forEach((x, i) => view.setInt8(2 + i, scale === 0 ? 0 : Math.round(x / scale)));
  });

/** The value of largest magnitude becomes −8. */
export const quantizeQ4_0 = (values: Float32Array): Uint8Array =>
  quantize(values, 18, (block, bytes, view) => {
    const scale = block.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0) / -8;
    view.setUint16(0, f16Bits(scale), true);
    const nibble = (x: number): number => (scale === 0 ? 8 : Math.min(15, Math.max(0, Math.round(x / scale) + 8)));
    for (let i = 0; i < 16; i++) bytes[2 + i] = nibble(block[i]) | (nibble(block[i + 16]) << 4);
  });

/** @param deviation of the values, about */
export function randomQ4K(elements: number, deviation: number, rng: Rng): Uint8Array {
  const bytes = Uint8Array.from({ length: (elements / 256) * 144 }, () => rng.u32());
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 144) {
    // Elements are near 7.5 ± 4.6, scales and minima near 31: a minimum 7.5 times as large centres the values.
    view.setUint16(at, f16Bits(deviation / (31 * 4.6)), true);
    view.setUint16(at + 2, f16Bits((7.5 * deviation) / (31 * 4.6)), true);
  }
  return bytes;
}

/** @param deviation of the values, about */
export function randomQ6K(elements: number, deviation: number, rng: Rng): Uint8Array {
  const bytes = Uint8Array.from({ length: (elements / 256) * 210 }, () => rng.u32());
  const view = new DataView(bytes.buffer);
  // Elements are near 0 ± 18, scales 0 ± 74.
  for (let at = 208; at < bytes.length; at += 210) view.setUint16(at, f16Bits(deviation / (18 * 74)), true);
  return bytes;
}

/** @param deviation of the values, about */
export function randomMxfp4(elements: number, deviation: number, rng: Rng): Uint8Array {
  const bytes = Uint8Array.from({ length: (elements / 32) * 17 }, () => rng.u32());
  // Elements are near 0 ± 2.9.
  const scale = 127 + Math.round(Math.log2(deviation / 2.9));
  for (let at = 0; at < bytes.length; at += 17) bytes[at] = scale + (rng.u32() % 2);
  return bytes;
}
