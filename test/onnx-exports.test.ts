// Files that PyTorch wrote (test/fixtures/onnx/export_onnx.py), against the logits that PyTorch computed.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

import { createReference, graphOf, parseConfig, randomWeights } from '../src/model/index.ts';
import { filesOf, openCheckpoint, openOnnx } from '../src/model/index.node.ts';
import { modelOnnx } from './onnx-model.ts';
import { tinyConfig, tinyTokenizer } from './tiny-checkpoint.ts';

const fixtures = join(import.meta.dirname, 'fixtures', 'onnx');

it.each([
  { folder: 'torchscript-llama', tolerance: 1e-5 },
  { folder: 'torchscript-llama-fp16', tolerance: 5e-3 },
  { folder: 'dynamo-mistral', tolerance: 1e-5 },
  { folder: 'dynamo-qwen3-opset23', tolerance: 1e-5 },
])('$folder gives the logits of PyTorch', ({ folder, tolerance }) => {
  const read = (name: string): unknown => JSON.parse(readFileSync(join(fixtures, folder, name), 'utf8'));
  const { prompt, last } = read('logits.json') as { prompt: number[]; last: number[] };
  const files = filesOf(join(fixtures, folder));
  const { shape, source, close } = openOnnx(files, 'model.onnx', parseConfig(read('config.json')).shape);
  try {
    const logits = createReference(graphOf(shape), source).start().forward(prompt);
    expect(logits).toHaveLength(last.length);
    for (const [i, logit] of logits.entries()) expect(Math.abs(logit - last[i]), `logit ${i}`).toBeLessThan(tolerance);
    expect(Math.max(...last) - Math.min(...last)).toBeGreaterThan(1);
  } finally {
    close();
  }
});

describe('an ONNX file of a folder', () => {
  const dir = mkdtempSync(join(tmpdir(), 'ingot-onnx-hub-'));
  afterAll(() => rmSync(dir, { recursive: true }));
  const tiny = parseConfig(tinyConfig).shape;
  const weights = randomWeights(tiny, 1);
  mkdirSync(join(dir, 'onnx'));
  writeFileSync(join(dir, 'config.json'), JSON.stringify(tinyConfig));
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tinyTokenizer));
  const put = (name: string): void => writeFileSync(join(dir, name), modelOnnx(tiny, weights, { ops: 'onnx' }).file);
  const namesOf = (path: string): string[] => {
    const checkpoint = openCheckpoint(path);
    checkpoint.close();
    return checkpoint.provenance.files.map(({ name }) => name).filter((name) => name.endsWith('.onnx'));
  };

  it('is found where transformers.js looks for it, and taken where it is named', () => {
    put('onnx/model_q4.onnx');
    expect(namesOf(dir)).toEqual(['onnx/model_q4.onnx']);
    put('onnx/model_fp16.onnx');
    expect(namesOf(dir)).toEqual(['onnx/model_fp16.onnx']);
    expect(namesOf(join(dir, 'onnx/model_q4.onnx'))).toEqual(['onnx/model_q4.onnx']);
    put('decoder.onnx');
    expect(namesOf(join(dir, 'decoder.onnx'))).toEqual(['decoder.onnx']);
  });
});
