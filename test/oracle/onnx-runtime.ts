// ONNX Runtime as an oracle: it runs the very file that is read here.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const oracles = resolve(import.meta.dirname, '..', '..', '.oracles');
const entry = join(oracles, 'node_modules', 'onnxruntime-node');

/** Why the oracle cannot be asked, or undefined where it can. */
export const onnxRuntimeAbsent: string | undefined = existsSync(entry)
  ? undefined
  : 'ONNX Runtime is not installed; run: node scripts/install-oracles.ts';

/** The part of onnxruntime-node that is used here. */
interface Tensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}
interface OnnxRuntime {
  readonly Tensor: new (type: string, data: Float32Array | BigInt64Array, dims: readonly number[]) => Tensor;
  readonly InferenceSession: {
    create(
      path: string,
      options: object,
    ): Promise<{
      readonly inputNames: readonly string[];
      run(feeds: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>>;
      release(): Promise<void>;
    }>;
  };
}

export interface OnnxRuntimeResult {
  /** Logits after each token of the prompt. */
  readonly prompt: Float32Array;
  /** Tokens that greedy decoding chose, and the logits from which each was. */
  readonly greedy: readonly number[];
  readonly logits: readonly Float32Array[];
}

/** Let ONNX Runtime process a prompt and then decode greedily with its cache, one thread. */
export async function runOnnxRuntime(
  path: string,
  cache: { readonly layers: number; readonly kvHeads: number; readonly headDim: number; readonly vocab: number },
  prompt: readonly number[],
  steps: number,
): Promise<OnnxRuntimeResult> {
  const ort = createRequire(import.meta.url)(entry) as OnnxRuntime;
  const session = await ort.InferenceSession.create(path, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  try {
    const whole = (values: readonly number[], dims: readonly number[]): Tensor =>
      new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
    let past: Record<string, Tensor> = {};
    for (let layer = 0; layer < cache.layers; layer++) {
      for (const part of ['key', 'value'])
        past[`past_key_values.${layer}.${part}`] = new ort.Tensor('float32', new Float32Array(), [
          1,
          cache.kvHeads,
          0,
          cache.headDim,
        ]);
    }
    let length = 0;
    const forward = async (tokens: readonly number[]): Promise<Float32Array> => {
      const n = tokens.length;
      const feeds: Record<string, Tensor> = {
        input_ids: whole(tokens, [1, n]),
        attention_mask: whole(
          Array.from({ length: length + n }, () => 1),
          [1, length + n],
        ),
        ...(session.inputNames.includes('position_ids')
          ? {
              position_ids: whole(
                Array.from({ length: n }, (_, i) => length + i),
                [1, n],
              ),
            }
          : {}),
        ...past,
      };
      const out = await session.run(feeds);
      length += n;
      past = Object.fromEntries(
        Object.keys(past).map((name) => [name, out[name.replace('past_key_values', 'present')]]),
      );
      return out['logits'].data;
    };
    const all = await forward(prompt);
    const greedy: number[] = [];
    const logits: Float32Array[] = [];
    let last = all.slice(-cache.vocab);
    for (let step = 0; step < steps; step++) {
      const best = last.reduce((most, x, i) => (x > last[most] ? i : most), 0);
      greedy.push(best);
      logits.push(last);
      last = (await forward([best])).slice(-cache.vocab);
    }
    return { prompt: all, greedy, logits };
  } finally {
    await session.release();
  }
}
