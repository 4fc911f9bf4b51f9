// What a person reads when an ONNX checkpoint is damaged, or is another model than its config.json says.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

import { formatDiagnostic, IngotError } from '../src/core/index.ts';
import { createReference, parseConfig, randomWeights } from '../src/model/index.ts';
import { openCheckpoint } from '../src/model/index.node.ts';
import type { LlmShape } from '../src/spec/index.ts';
import { expectGolden } from './golden.ts';
import { modelOnnx, type OnnxStyle } from './onnx-model.ts';
import { writeOnnx, type NodeToWrite, type TensorToWrite } from './onnx.ts';
import { tinyConfig, tinyTokenizer } from './tiny-checkpoint.ts';

const { shape } = parseConfig(tinyConfig);
const weights = randomWeights(shape, 1);
const root = mkdtempSync(join(tmpdir(), 'ingot-onnx-errors-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Files {
  readonly file: Uint8Array;
  readonly config?: object;
  readonly data?: Uint8Array;
}

const written = (style: OnnxStyle = { ops: 'onnx' }, of: LlmShape = shape): Files => ({
  file: modelOnnx(of, randomWeights(of, 1), style).file,
});

/** The sound file with nodes changed: those for which `change` returns something else. */
function withNodes(change: (node: NodeToWrite, at: number) => NodeToWrite, style: OnnxStyle = { ops: 'onnx' }): Files {
  const { model } = modelOnnx(shape, weights, style);
  return { file: writeOnnx({ ...model, nodes: model.nodes.map(change) }) };
}
function withTensors(change: (tensor: TensorToWrite) => TensorToWrite, style: OnnxStyle = { ops: 'onnx' }): Files {
  const { model, data } = modelOnnx(shape, weights, style);
  return { file: writeOnnx({ ...model, initializers: model.initializers.map(change) }), data };
}
const first = (op: string, change: Partial<NodeToWrite>) => {
  let seen = false;
  return (node: NodeToWrite): NodeToWrite => {
    if (node.op !== op || seen) return node;
    seen = true;
    return { ...node, ...change };
  };
};
const beside: OnnxStyle = { ops: 'onnx', external: 'model.onnx_data' };
const moved = (external: Partial<NonNullable<TensorToWrite['external']>>): Files => {
  let seen = false;
  return withTensors((tensor) => {
    if (tensor.external === undefined || seen) return tensor;
    seen = true;
    return { ...tensor, external: { ...tensor.external, ...external } };
  }, beside);
};
const stated = (change: object, style?: OnnxStyle): Files => ({
  ...written(style),
  config: { ...tinyConfig, ...change },
});

const damages: readonly { readonly name: string; readonly done: string; readonly files: () => Files }[] = [
  { name: 'no-graph', done: 'the file has no bytes', files: () => ({ file: new Uint8Array() }) },
  {
    name: 'cut',
    done: 'the second half of the file was cut off',
    files: () => ({ file: written().file.slice(0, written().file.length / 2) }),
  },
  { name: 'not-onnx', done: 'the file is a text', files: () => ({ file: new TextEncoder().encode('no model') }) },
  {
    name: 'unknown-op',
    done: 'the activations were made Softsign, and a Cos a NonZero',
    files: () =>
      withNodes((node) =>
        node.op === 'Sigmoid' ? { ...node, op: 'Softsign' } : node.op === 'Cos' ? { ...node, op: 'NonZero' } : node,
      ),
  },
  {
    name: 'activation',
    done: 'the activation was made a tanh GELU',
    files: () =>
      withNodes((node) => (node.op === 'QuickGelu' ? { ...node, op: 'FastGelu', attributes: {} } : node), {
        ops: 'onnxruntime',
      }),
  },
  { name: 'theta', done: 'rope_theta of config.json was set to 500,000', files: () => stated({ rope_theta: 500_000 }) },
  {
    name: 'theta-cache',
    done: 'the same, for a table of cosines',
    files: () => stated({ rope_theta: 500_000 }, { ops: 'onnxruntime' }),
  },
  { name: 'epsilon', done: 'rms_norm_eps of config.json was set to 1e-6', files: () => stated({ rms_norm_eps: 1e-6 }) },
  {
    name: 'layers',
    done: 'num_hidden_layers of config.json was set to 3',
    files: () => stated({ num_hidden_layers: 3 }),
  },
  {
    name: 'fewer-layers',
    done: 'num_hidden_layers of config.json was set to 1',
    files: () => stated({ num_hidden_layers: 1 }),
  },
  {
    name: 'width',
    done: 'intermediate_size of config.json was set to 24',
    files: () => stated({ intermediate_size: 24 }),
  },
  {
    name: 'heads',
    done: 'num_attention_heads of config.json was set to 4',
    files: () => stated({ num_attention_heads: 4 }, { ops: 'onnxruntime' }),
  },
  {
    name: 'missing-bias',
    done: 'model_type of config.json was set to qwen2',
    files: () => stated({ model_type: 'qwen2', architectures: ['Qwen2ForCausalLM'] }),
  },
  {
    name: 'window',
    done: 'the graph has a sliding window of 16',
    files: () =>
      written(
        { ops: 'onnx' },
        { ...shape, arch: 'mistral', attention: { ...shape.attention, slidingWindow: 16 } as LlmShape['attention'] },
      ),
  },
  {
    name: 'no-mask',
    done: 'the mask is no longer added',
    files: () => {
      const { model } = modelOnnx(shape, weights, { ops: 'onnx' });
      const masked = model.nodes.find(({ op }) => op === 'Softmax')!.inputs[0];
      const scores = model.nodes.find(({ outputs }) => outputs[0] === masked)!.inputs[0];
      return withNodes(first('Softmax', { inputs: [scores] }));
    },
  },
  {
    name: 'architecture',
    done: 'the architecture is phi3',
    files: () => stated({ model_type: 'phi3', architectures: ['Phi3ForCausalLM'] }),
  },
  {
    name: 'external-outside',
    done: 'a tensor was moved to ../model.onnx_data',
    files: () => moved({ location: '../model.onnx_data' }),
  },
  {
    name: 'external-missing',
    done: 'a tensor was moved to model.onnx_datum',
    files: () => moved({ location: 'model.onnx_datum' }),
  },
  {
    name: 'external-offset',
    done: 'a tensor was moved to byte 2^40 of the other file',
    files: () => moved({ offset: 2 ** 40 }),
  },
  { name: 'external-length', done: 'a tensor was said to have 4 bytes', files: () => moved({ length: 4 }) },
  {
    name: 'tensor-bytes',
    done: 'all tensors lost their last byte',
    files: () => withTensors((tensor) => ({ ...tensor, bytes: tensor.bytes.slice(0, -1) })),
  },
  {
    name: 'tensor-type',
    done: 'the first tensor was said to be of strings',
    files: () => withTensors((tensor) => (tensor.name === 't0' ? { ...tensor, type: 8 } : tensor)),
  },
  {
    name: 'cache-heads',
    done: 'the caches have three heads',
    files: () => {
      const { model } = modelOnnx(shape, weights, { ops: 'onnx' });
      const inputs = model.inputs.map((input) =>
        input.dims.length === 4 ? { ...input, dims: [1, 3, 'past', 4] } : input,
      );
      return { file: writeOnnx({ ...model, inputs }) };
    },
  },
];

const path = join(root, 'model');
function write({ file, config = tinyConfig, data }: Files): void {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path);
  writeFileSync(join(path, 'model.onnx'), file);
  if (data !== undefined) writeFileSync(join(path, 'model.onnx_data'), data);
  writeFileSync(join(path, 'config.json'), JSON.stringify(config));
  writeFileSync(join(path, 'tokenizer.json'), JSON.stringify(tinyTokenizer));
}

describe('a damaged ONNX checkpoint', () => {
  it.each(damages)('$name', ({ name, done, files }) => {
    write(files());
    let text = 'the checkpoint was opened';
    try {
      openCheckpoint(path).close();
    } catch (error) {
      if (!(error instanceof IngotError)) throw error;
      text = error.diagnostics.map(formatDiagnostic).join('\n');
    }
    expectGolden(`onnx-errors/${name}.txt`, `${done}\n${text.replaceAll(root, '<dir>')}`);
  });

  it('is not what the tests start from', () => {
    const { file, data } = modelOnnx(shape, weights, beside);
    write({ file, data });
    const checkpoint = openCheckpoint(path);
    expect(checkpoint.shape).toEqual(shape);
    expect(checkpoint.provenance.files.map(({ name }) => name)).toEqual([
      'config.json',
      'tokenizer.json',
      'model.onnx',
      'model.onnx_data',
    ]);
    expect(checkpoint.provenance.sha256('model.onnx_data')).toMatch(/^[0-9a-f]{64}$/);
    const logits = createReference(checkpoint.graph, checkpoint.weights).start().forward([1, 2, 3]);
    expect(logits).toEqual(createReference(checkpoint.graph, weights).start().forward([1, 2, 3]));
    checkpoint.close();
    checkpoint.close();
  });
});
