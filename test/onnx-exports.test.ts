// Files that PyTorch wrote (test/fixtures/onnx/export_onnx.py), against the logits that PyTorch computed.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

import { createReference, graphOf, parseConfig } from '../src/model/index.ts';
import { filesOf, openOnnx } from '../src/model/index.node.ts';

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
