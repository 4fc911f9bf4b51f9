// Weights on their way in: rows as the checkpoint stores them, from a staging buffer, into the layouts that the
// kernels stream. Runs once per tensor at load.
import { fromBf16, fromF16, toBf16, toF16 } from './arithmetic.as';
import { placeInBlock } from './elementwise.as';
import { blockRows, formatBf16, formatF16, formatF32 } from './layout';
import { largest, quantize4, rowInverse, rowScale } from './linear-int8.as';

// @ts-ignore: decorator
@inline
function widened(format: i32, at: usize, index: usize): f32 {
  if (format == formatF32) return load<f32>(at + (index << 2));
  const bits = <u32>load<u16>(at + (index << 1));
  return format == formatBf16 ? fromBf16(bits) : fromF16(bits);
}

/** `count` elements widened, or rounded to a 16-bit format; how many are not finite afterwards. */
export function convert(out: usize, format: i32, input: usize, stored: i32, count: usize): i32 {
  let bad = 0;
  for (let i: usize = 0; i < count; i++) {
    if (stored == formatF16 && (load<u16>(input + (i << 1)) & 0x7c00) == 0x7c00) bad++;
    const value = widened(stored, input, i);
    if (format == formatF32) {
      store<f32>(out + (i << 2), value);
      if (!isFinite<f32>(value)) bad++;
    } else if (format == formatBf16) {
      const bits = toBf16(value);
      store<u16>(out + (i << 1), <u16>bits);
      if ((bits & 0x7f80) == 0x7f80) bad++;
    } else {
      const bits = toF16(value);
      store<u16>(out + (i << 1), <u16>bits);
      if ((bits & 0x7c00) == 0x7c00) bad++;
    }
  }
  return bad;
}

/**
 * One block: up to 16 rows of k elements, each already in the block's format at rows + r * k * size, interleaved
 * in the given order. Missing rows are zeros.
 */
export function packBlock(out: usize, format: i32, input: usize, count: i32, k: usize, order: usize): void {
  for (let r = 0; r < blockRows; r++) {
    const place = <usize>placeInBlock(format, r);
    if (format == formatF32) {
      const row = input + <usize>r * (k << 2);
      for (let i: usize = 0; i < k; i++)
        store<f32>(out + ((i * blockRows + place) << 2), r < count ? load<f32>(row + (load<usize>(order + (i << 2)) << 2)) : 0);
    } else {
      const row = input + <usize>r * (k << 1);
      for (let i: usize = 0; i < k; i++)
        store<u16>(out + ((i * blockRows + place) << 1), r < count ? load<u16>(row + (load<usize>(order + (i << 2)) << 1)) : 0);
    }
  }
}

/** One int8 block from up to 16 rows of fp32, [pairs of k][16 rows][2], and the scales of its rows. */
export function packBlockInt8(out: usize, scales: usize, input: usize, count: i32, k: usize): void {
  const pairs = (k + 1) >> 1;
  for (let r = 0; r < blockRows; r++) {
    const row = input + <usize>r * (k << 2);
    const most = r < count ? largest(row, k) : 0;
    const inverse = f32x4.splat(rowInverse(most));
    store<f32>(scales + (<usize>r << 2), rowScale(most));
    for (let i: usize = 0; i < pairs << 1; i++) {
      const value = r < count && i < k ? i32x4.extract_lane(quantize4(v128.load32_splat(row + (i << 2)), inverse), 0) : 0;
      store<i8>(out + ((i >> 1) << 5) + (<usize>r << 1) + (i & 1), <i8>value);
    }
  }
}
