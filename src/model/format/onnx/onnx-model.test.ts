import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { modelOnnx, weightNames, type OnnxStyle } from '../../../../test/onnx-model.ts';
import { writeOnnx } from '../../../../test/onnx.ts';
import { IngotError } from '../../../core/index.ts';
import type { LlmShape } from '../../../spec/index.ts';
import { randomWeights } from '../../testing/random-weights.ts';
import { MAX_TOTAL_ELEMENTS } from './evaluate.ts';
import { readOnnxWeights } from './onnx-model.ts';

const shape: LlmShape = {
  arch: 'llama',
  hidden: 8,
  layers: 2,
  vocab: 24,
  maxContext: 64,
  normEps: 1e-5,
  layerNorms: 2,
  rope: { theta: 10_000 },
  tiedEmbeddings: false,
  attention: { kind: 'gqa', heads: 2, kvHeads: 1, headDim: 4, qkvBias: false, outBias: false, qkNorm: false },
  mlp: { kind: 'dense', ffn: 16 },
};
const weights = randomWeights(shape, 1);

/** A source that counts what is read of it. */
function counted(file: Uint8Array) {
  const count = { bytes: 0 };
  const source = {
    bytes: file.length,
    read(target: Uint8Array, position: number) {
      if (position < 0 || position + target.length > file.length) throw new Error('read outside the file');
      count.bytes += target.length;
      target.set(file.subarray(position, position + target.length));
    },
  };
  return { source, count };
}

const noFiles = (): never => {
  throw new IngotError({ code: 'CHECKPOINT_FILE_MISSING', message: 'no such file' });
};
const options = { where: 'f', external: noFiles };

const codes = (file: Uint8Array): string[] => {
  const { source, count } = counted(file);
  try {
    readOnnxWeights(source, shape, options);
    return ['accepted'];
  } catch (error) {
    // Anything else is a crash.
    if (!(error instanceof IngotError)) throw error;
    return error.diagnostics.map(({ code }) => code);
  } finally {
    // A window is read anew where fields lie apart; tables are looked at, not read as a whole.
    expect(count.bytes).toBeLessThan(200 * 65_536 + 8 * MAX_TOTAL_ELEMENTS);
  }
};

const styles: readonly OnnxStyle[] = [
  { ops: 'onnx' },
  { ops: 'onnx', matrices: 'gemm' },
  { ops: 'onnxruntime', fused: true },
  { ops: 'onnxruntime' },
];

describe('weights of an ONNX graph', () => {
  it.each(styles)('are found by what the graph does with them: $ops, $matrices', (style) => {
    const { file } = modelOnnx(shape, weights, style);
    const found = readOnnxWeights(counted(file).source, shape, options);
    expect(found.shape).toEqual(shape);
    expect([...found.weights.names].sort()).toEqual(weightNames(shape).sort());
    for (const name of weightNames(shape)) {
      expect(found.weights.shape(name), name).toEqual(weights.shape(name));
      expect(found.weights.read(name), name).toEqual(weights.read(name));
    }
  });

  it('are the same by rows, whichever are asked for', () => {
    for (const matrices of [
      'f32',
      'f16',
      { bits: 4, block: 16, zeroPoints: true },
      { bits: 8, block: 16, zeroPoints: false },
    ] as const) {
      const { file } = modelOnnx(shape, weights, { ops: 'onnx', matrices });
      const found = readOnnxWeights(counted(file).source, shape, options).weights;
      for (const name of found.names) {
        const [rows, width = 1] = found.shape(name);
        const bytes = (found.dtype(name) === 'f32' ? 4 : 2) * width;
        const whole = new Uint8Array(rows * bytes);
        found.readRows(name, 0, rows, whole);
        for (const [from, to] of [
          [0, 0],
          [0, 1],
          [1, 3],
          [rows - 1, rows],
        ]) {
          const part = new Uint8Array((to - from) * bytes);
          found.readRows(name, from, to, part);
          expect(part).toEqual(whole.slice(from * bytes, to * bytes));
        }
      }
    }
  });

  it('blocks are within half a step of what was quantized', () => {
    for (const zeroPoints of [false, true]) {
      const { file } = modelOnnx(shape, weights, { ops: 'onnxruntime', matrices: { bits: 8, block: 16, zeroPoints } });
      const found = readOnnxWeights(counted(file).source, shape, options).weights;
      const name = 'model.layers.1.mlp.down_proj.weight';
      const exact = weights.read(name);
      const most = Math.max(...exact.map(Math.abs));
      for (const [i, value] of found.read(name).entries())
        expect(Math.abs(value - exact[i])).toBeLessThanOrEqual(most / 100);
    }
  });

  it('are found in whatever order nodes are listed', () => {
    const { model } = modelOnnx(shape, weights, { ops: 'onnx' });
    const found = readOnnxWeights(
      counted(writeOnnx({ ...model, nodes: model.nodes.toReversed() })).source,
      shape,
      options,
    );
    for (const name of weightNames(shape)) expect(found.weights.read(name), name).toEqual(weights.read(name));
  });

  it('a head that reads the embedding is tied, and a copy of it is not', () => {
    const tied = { ...shape, tiedEmbeddings: true };
    const random = randomWeights(tied, 1);
    const read = (style: OnnxStyle) =>
      readOnnxWeights(counted(modelOnnx(tied, random, style).file).source, tied, options);
    expect(read({ ops: 'onnx', tied: true }).shape.tiedEmbeddings).toBe(true);
    const apart = read({ ops: 'onnx' });
    expect(apart.shape.tiedEmbeddings).toBe(false);
    expect(apart.weights.read('lm_head.weight')).toEqual(random.read('model.embed_tokens.weight'));
  });
});

describe('a damaged ONNX file', () => {
  const sound = styles.slice(0, 3).map((style) => modelOnnx(shape, weights, style).file);

  it('is not what the tests start from', () => {
    for (const file of sound) expect(codes(file)).toEqual(['accepted']);
  });

  it('ends in a diagnostic, or in a sound graph, whatever bytes were changed or cut', () => {
    const change = fc.tuple(fc.nat(2 ** 24), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)));
    fc.assert(
      fc.property(
        fc.nat(sound.length - 1),
        fc.array(change, { maxLength: 4 }),
        fc.nat(2 ** 24),
        fc.boolean(),
        (which, changes, length, cut) => {
          const whole = sound[which];
          const bytes = whole.slice(0, cut ? length % whole.length : whole.length);
          for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
          expect(codes(bytes).length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('ends in a diagnostic, whatever a node is given or loses', () => {
    const { model } = modelOnnx(shape, weights, { ops: 'onnx' });
    const values = model.nodes.flatMap(({ outputs }) => outputs);
    const ops = [...new Set(model.nodes.map(({ op }) => op)), 'If', ''];
    fc.assert(
      fc.property(
        fc.nat(model.nodes.length - 1),
        fc.oneof(
          fc.record({ op: fc.constantFrom(...ops) }),
          fc.record({ inputs: fc.array(fc.constantFrom(...values, 't0', 't3', ''), { maxLength: 4 }) }),
          fc.record({
            attributes: fc.dictionary(
              fc.constantFrom('axis', 'perm', 'to'),
              fc.oneof(fc.integer({ min: -9, max: 99 }), fc.array(fc.integer({ min: -2, max: 6 }), { maxLength: 5 })),
            ),
          }),
        ),
        (at, change) => {
          const nodes = model.nodes.map((node, i) => (i === at ? { ...node, ...change } : node));
          expect(codes(writeOnnx({ ...model, nodes })).length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('ends in a diagnostic where a value depends on itself', () => {
    const { model } = modelOnnx(shape, weights, { ops: 'onnx' });
    const [first, ...rest] = model.nodes;
    const itself = { ...first, inputs: [...first.inputs.slice(0, -1), model.nodes.at(-1)!.outputs[0]] };
    expect(codes(writeOnnx({ ...model, nodes: [itself, ...rest] }))).toEqual(['ONNX_MALFORMED']);
  });

  it('of every op that the logits depend on, none can be left out', () => {
    for (const style of styles.slice(0, 3)) {
      const { model } = modelOnnx(shape, weights, style);
      for (const at of model.nodes.keys()) {
        const node = model.nodes[at];
        // What an op of one input does is lost when it becomes another; to move or convert elements may change nothing.
        if (['Identity', 'Cast', 'Reshape', 'Unsqueeze', 'Transpose'].includes(node.op)) continue;
        const nodes = model.nodes.map((other, i) =>
          i === at ? { ...other, op: 'Abs', domain: '', inputs: other.inputs.slice(0, 1) } : other,
        );
        const found = codes(writeOnnx({ ...model, nodes }));
        expect(found, `${node.op} number ${at}`).not.toEqual(['accepted']);
      }
    }
  });
});
