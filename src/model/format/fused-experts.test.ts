import { describe, expect, it } from 'vitest';

import { createRng, IngotError } from '../../core/index.ts';
import { f32ToBf16, widenInto } from './float-formats.ts';
import { isBlockPart, separateExperts, type StoredTensors, type StoredType } from './fused-experts.ts';

const [experts, width, ffn] = [3, 64, 32];
const at = 'model.layers.0.mlp.experts';

interface Tensor {
  readonly dtype: StoredType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

function storedOf(tensors: Readonly<Record<string, Tensor>>): StoredTensors {
  return {
    names: Object.keys(tensors),
    has: (name) => Object.hasOwn(tensors, name),
    shape: (name) => tensors[name].shape,
    dtype: (name) => tensors[name].dtype,
    read: () => expect.fail('experts are read row by row'),
    readRows(name, from, to, target) {
      const { bytes, shape } = tensors[name];
      target.set(bytes.subarray((from * bytes.length) / shape[0], (to * bytes.length) / shape[0]));
    },
  };
}

const rng = createRng(5);
const bytesOf = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => rng.u32());
const scalesOf = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => 120 + (rng.u32() % 12));
const bf16 = (values: Float32Array): Uint8Array => new Uint8Array(f32ToBf16(values).buffer);
const biasOf = (...shape: number[]): Tensor => {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => rng.normal());
  return { dtype: 'bf16', shape, bytes: bf16(values) };
};

const published: Readonly<Record<string, Tensor>> = {
  'model.norm.weight': biasOf(width),
  [`${at}.gate_up_proj_blocks`]: {
    dtype: 'u8',
    shape: [experts, 2 * ffn, width / 32, 16],
    bytes: bytesOf((experts * 2 * ffn * width) / 2),
  },
  [`${at}.gate_up_proj_scales`]: {
    dtype: 'u8',
    shape: [experts, 2 * ffn, width / 32],
    bytes: scalesOf((experts * 2 * ffn * width) / 32),
  },
  [`${at}.gate_up_proj_bias`]: biasOf(experts, 2 * ffn),
  [`${at}.down_proj_blocks`]: {
    dtype: 'u8',
    shape: [experts, width, ffn / 32, 16],
    bytes: bytesOf((experts * width * ffn) / 2),
  },
  [`${at}.down_proj_scales`]: {
    dtype: 'u8',
    shape: [experts, width, ffn / 32],
    bytes: scalesOf((experts * width * ffn) / 32),
  },
  [`${at}.down_proj_bias`]: biasOf(experts, width),
};

/** Element (expert, output, input) of published blocks, from the bits. */
function element(kind: 'gate_up' | 'down', expert: number, output: number, input: number): number {
  const { bytes, shape } = published[`${at}.${kind}_proj_blocks`];
  const scales = published[`${at}.${kind}_proj_scales`].bytes;
  const row = (expert * shape[1] + output) * shape[2];
  const byte = bytes[row * 16 + (input >> 1)];
  const bits = input % 2 === 0 ? byte & 15 : byte >> 4;
  const magnitude = [0, 0.5, 1, 1.5, 2, 3, 4, 6][bits & 7];
  return (bits & 8 ? -magnitude : magnitude) * 2 ** (scales[row + (input >> 5)] - 127);
}

/** The same weights as [experts, in, out] in bfloat16. */
const widened = (): Readonly<Record<string, Tensor>> => {
  const dense = (kind: 'gate_up' | 'down', k: number, n: number): Tensor => {
    const values = Float32Array.from({ length: experts * k * n }, (_, i) =>
      element(kind, Math.floor(i / (k * n)), i % n, Math.floor(i / n) % k),
    );
    return { dtype: 'bf16', shape: [experts, k, n], bytes: bf16(values) };
  };
  return {
    'model.norm.weight': published['model.norm.weight'],
    [`${at}.gate_up_proj`]: dense('gate_up', width, 2 * ffn),
    [`${at}.gate_up_proj_bias`]: published[`${at}.gate_up_proj_bias`],
    [`${at}.down_proj`]: dense('down', ffn, width),
    [`${at}.down_proj_bias`]: published[`${at}.down_proj_bias`],
  };
};

describe.each([
  ['MXFP4', published],
  ['bfloat16', widened()],
])('experts of gpt-oss stored as %s', (_, tensors) => {
  const weights = separateExperts(storedOf(tensors), 'f');

  it('are there one by one, with gate and up apart, and nothing else is', () => {
    const expected = ['model.norm.weight'];
    for (let expert = 0; expert < experts; expert++)
      for (const piece of ['gate', 'up', 'down'])
        for (const part of ['weight', 'bias']) expected.push(`${at}.${expert}.${piece}_proj.${part}`);
    expect([...weights.names].sort()).toEqual(expected.sort());
    expect(weights.has(`${at}.gate_up_proj_bias`)).toBe(false);
    expect(weights.shape(`${at}.2.up_proj.weight`)).toEqual([ffn, width]);
    expect(weights.shape(`${at}.2.down_proj.weight`)).toEqual([width, ffn]);
    expect(weights.shape(`${at}.2.gate_proj.bias`)).toEqual([ffn]);
  });

  it('have the values that the blocks stand for', () => {
    for (let expert = 0; expert < experts; expert++) {
      for (const [piece, offset] of [
        ['gate', 0],
        ['up', 1],
      ] as const) {
        const values = weights.read(`${at}.${expert}.${piece}_proj.weight`);
        expect([...values]).toEqual(
          Array.from({ length: ffn * width }, (_, i) =>
            element('gate_up', expert, 2 * Math.floor(i / width) + offset, i % width),
          ),
        );
      }
      const down = weights.read(`${at}.${expert}.down_proj.weight`);
      expect([...down]).toEqual(
        Array.from({ length: width * ffn }, (_, i) => element('down', expert, Math.floor(i / ffn), i % ffn)),
      );
    }
  });

  it('are read by rows, of the experts in any order', () => {
    for (const [expert, from, to] of [
      [2, 3, 9],
      [0, 31, 32],
      [2, 0, 0],
    ] as const) {
      const name = `${at}.${expert}.up_proj.weight`;
      const target = new Uint8Array((to - from) * width * 2);
      weights.readRows(name, from, to, target);
      const values = new Float32Array((to - from) * width);
      widenInto(values, 0, target, weights.dtype(name));
      expect(values).toEqual(weights.read(name).slice(from * width, to * width));
    }
  });

  it('have the biases of their own outputs', () => {
    const all = new Float32Array(experts * 2 * ffn);
    widenInto(all, 0, published[`${at}.gate_up_proj_bias`].bytes, 'bf16');
    expect(weights.read(`${at}.1.up_proj.bias`)).toEqual(
      Float32Array.from({ length: ffn }, (_, i) => all[2 * ffn + 2 * i + 1]),
    );
  });
});

describe('what is damaged', () => {
  const codes = (changes: Readonly<Record<string, Tensor | undefined>>): string[] => {
    const tensors = Object.entries({ ...published, ...changes }).filter(
      (entry): entry is [string, Tensor] => entry[1] !== undefined,
    );
    try {
      separateExperts(storedOf(Object.fromEntries(tensors)), 'f');
    } catch (error) {
      if (error instanceof IngotError) return error.diagnostics.map(({ code }) => code);
      throw error;
    }
    return [];
  };
  it('is refused', () => {
    const blocks = published[`${at}.down_proj_blocks`];
    expect(codes({})).toEqual([]);
    expect(codes({ [`${at}.down_proj_scales`]: undefined })).toEqual(['CHECKPOINT_TENSOR_MISSING']);
    expect(codes({ [`${at}.down_proj_blocks`]: undefined })).toEqual(['CHECKPOINT_TENSOR_MISSING']);
    expect(codes({ [`${at}.down_proj_blocks`]: { ...blocks, shape: [experts, width, ffn / 2] } })).toEqual([
      'CHECKPOINT_TENSOR_SHAPE',
    ]);
    expect(codes({ [`${at}.down_proj_blocks`]: { ...blocks, shape: [experts, width / 2, ffn / 32, 32] } })).toEqual([
      'CHECKPOINT_TENSOR_SHAPE',
    ]);
    expect(
      codes({ [`${at}.gate_up_proj_scales`]: { ...published[`${at}.gate_up_proj_scales`], shape: [1, 1, 1] } }),
    ).toEqual(['CHECKPOINT_TENSOR_SHAPE']);
    expect(codes({ [`${at}.gate_up_proj_bias`]: biasOf(experts, 2 * ffn + 1) })).toEqual(['CHECKPOINT_TENSOR_SHAPE']);
    expect(codes({ [`${at}.gate_up_proj_bias`]: biasOf(3_000, 2) })).toEqual(['CHECKPOINT_TENSOR_SHAPE']);
  });
  it('bytes are parts of these blocks only', () => {
    expect(isBlockPart(`${at}.down_proj_blocks`)).toBe(true);
    expect(isBlockPart(`${at}.down_proj_bias`)).toBe(false);
    expect(isBlockPart('model.layers.0.mlp.down_proj_blocks')).toBe(false);
  });
});
