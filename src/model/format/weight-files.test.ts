import { mkdtempSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

import { createRng, IngotError } from '../../core/index.ts';
import type { DType } from '../graph.ts';
import { DTYPE_BYTES, widenInto } from './float-formats.ts';
import { encodeSafetensors, type TensorToWrite } from './safetensors.ts';
import { filesOf } from './bounded-file.node.ts';
import { openWeightFiles } from './weight-files.node.ts';

const root = mkdtempSync(join(tmpdir(), 'ingot-weights-'));
afterAll(() => rmSync(root, { recursive: true }));
let folders = 0;
function folder(files: Record<string, Uint8Array | string>): string {
  const dir = join(root, String(folders++));
  mkdirSync(dir);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
  return dir;
}

const rng = createRng(1);
function tensor(name: string, dtype: DType, shape: number[]): TensorToWrite & { readonly dtype: DType } {
  const size = shape.reduce((a, b) => a * b, DTYPE_BYTES[dtype]);
  return { name, dtype, shape, bytes: Uint8Array.from({ length: size }, () => rng.u32()) };
}
const a = tensor('a', 'bf16', [3, 5]);
const b = tensor('b', 'f32', [4]);
// Larger than one chunk of widening, and not a whole number of chunks.
const large = tensor('large', 'f16', [700, 1001]);

const indexOf = (map: Record<string, string>): string => JSON.stringify({ metadata: {}, weight_map: map });
const codes = (dir: string): string[] => {
  try {
    openWeightFiles(filesOf(dir)).close();
    return [];
  } catch (error) {
    return (error as IngotError).diagnostics.map((d) => d.code);
  }
};
const bits = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, 0, values.length);

describe('openWeightFiles', () => {
  it.each([
    ['one file', { 'model.safetensors': encodeSafetensors([a, b, large]) }],
    [
      'shards',
      {
        'x-1.safetensors': encodeSafetensors([a, b]),
        'x-2.safetensors': encodeSafetensors([large]),
        'model.safetensors.index.json': indexOf({
          a: 'x-1.safetensors',
          b: 'x-1.safetensors',
          large: 'x-2.safetensors',
        }),
      },
    ],
  ])('reads %s', (_, content) => {
    const weights = openWeightFiles(filesOf(folder(content)));
    expect([...weights.source.names].sort()).toEqual(['a', 'b', 'large']);
    expect(weights.source.has('c')).toBe(false);
    for (const { name, dtype, shape, bytes } of [a, b, large]) {
      expect(weights.source.shape(name)).toEqual(shape);
      expect(weights.source.dtype(name)).toBe(dtype);
      const wanted = new Float32Array(bytes.length / DTYPE_BYTES[dtype]);
      widenInto(wanted, 0, bytes, dtype);
      expect(bits(weights.source.read(name))).toEqual(bits(wanted));
      const rowBytes = bytes.length / shape[0];
      const target = new Uint8Array(2 * rowBytes);
      weights.source.readRows(name, 1, 3, target);
      expect(target).toEqual(bytes.slice(rowBytes, 3 * rowBytes));
    }
    expect(() => weights.source.readRows('a', 2, 4, new Uint8Array(20))).toThrow(/rows of a exist/);
    expect(() => weights.source.readRows('a', 0, 1, new Uint8Array(11))).toThrow(/target/);
    weights.close();
  });

  it('follows links, as the Hugging Face cache lays a checkpoint out', () => {
    const blobs = folder({ f00d: encodeSafetensors([a]) });
    const snapshot = folder({});
    symlinkSync(join(blobs, 'f00d'), join(snapshot, 'model.safetensors'));
    const weights = openWeightFiles(filesOf(snapshot));
    expect(weights.source.names).toEqual(['a']);
    weights.close();
  });

  it('compares the index with the shards', () => {
    const shards = { 'x-1.safetensors': encodeSafetensors([a]), 'x-2.safetensors': encodeSafetensors([b]) };
    const withIndex = (map: Record<string, string>): string =>
      folder({ ...shards, 'model.safetensors.index.json': indexOf(map) });
    expect(codes(withIndex({ a: 'x-1.safetensors', b: 'x-2.safetensors' }))).toEqual([]);
    expect(codes(withIndex({ a: 'x-2.safetensors', b: 'x-1.safetensors' }))).toEqual(
      Array<string>(2).fill('CHECKPOINT_INDEX_MISMATCH'),
    );
    expect(codes(withIndex({ a: 'x-1.safetensors', b: 'x-2.safetensors', c: 'x-2.safetensors' }))).toEqual([
      'CHECKPOINT_INDEX_MISMATCH',
    ]);
    expect(codes(withIndex({ a: 'x-1.safetensors', c: 'x-3.safetensors' }))).toEqual(['CHECKPOINT_SHARD_MISSING']);
    for (const name of ['../x-1.safetensors', '/etc/passwd', 'x-1.bin', '']) {
      expect(codes(withIndex({ a: name }))).toEqual(['CHECKPOINT_INDEX_MALFORMED']);
    }
  });

  it('names other formats that it finds instead', () => {
    expect(codes(folder({}))).toEqual(['CHECKPOINT_WEIGHTS_MISSING']);
    expect(codes(folder({ 'pytorch_model.bin': 'x' }))).toEqual(['CHECKPOINT_WEIGHTS_MISSING']);
  });

  it('says so when a file shrinks under it', () => {
    const dir = folder({ 'model.safetensors': encodeSafetensors([a]) });
    const weights = openWeightFiles(filesOf(dir));
    truncateSync(join(dir, 'model.safetensors'), 20);
    expect(() => weights.source.read('a')).toThrow(/CHECKPOINT_FILE_CHANGED/);
    weights.close();
  });
});
