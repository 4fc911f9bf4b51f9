// Embeddings against llama.cpp: a GGUF file with each kind of pooling, opened by both.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createRng } from '../../src/core/index.ts';
import { openCheckpoint } from '../../src/model/index.node.ts';
import { randomWeights } from '../../src/model/index.ts';
import { createPool, shapedEmbedding } from '../../src/runtime/pooling.ts';
import { interpret, tinyProgram } from '../../src/wafer/index.ts';
import { encodeGguf } from './gguf-writer.ts';
import { embedWithLlamaCpp, llamaCppAbsent } from './llama-cpp.ts';
import { modelParts } from './model-gguf.ts';
import { tiny } from './tiny-shapes.ts';

/** Its keys and values are in half precision, of 11 bits; seen: 3.1e-3 of vectors of length 1. */
const tolerance = 1e-2;
const limitMs = 120_000;
/** BOS and EOS of that vocabulary, which node-llama-cpp puts around every text. */
const [BOS, EOS] = [1, 2];
const poolings = { mean: 1, last: 3 };

if (llamaCppAbsent !== undefined) console.warn(`skipped: embeddings against llama.cpp: ${llamaCppAbsent}`);

describe.skipIf(llamaCppAbsent !== undefined)('embeddings', () => {
  it(
    'of the last token and of the mean are those of llama.cpp',
    async () => {
      const rng = createRng(4);
      const texts = [1, 9, 30].map((length) => [BOS, ...Array.from({ length }, () => 260 + (rng.u32() % 60)), EOS]);
      const { metadata, tensors } = modelParts(tiny, randomWeights(tiny, 5));
      const files = Object.values(poolings).map((type) =>
        encodeGguf({ ...metadata, 'llama.pooling_type': { u32: type } }, tensors),
      );
      const oracle = await embedWithLlamaCpp(files, texts, 64);
      const folder = mkdtempSync(join(tmpdir(), 'ingot-embed-'));
      try {
        for (const [i, pooling] of Object.keys(poolings).entries()) {
          const file = join(folder, `${pooling}.gguf`);
          writeFileSync(file, files[i]);
          const checkpoint = openCheckpoint(file);
          const rule = checkpoint.embedding;
          if ('refused' in rule) throw new Error(rule.refused);
          expect(rule.pooling).toBe(pooling);
          const program = tinyProgram(checkpoint.shape, { width: 2, height: 2, groups: { x: 1, y: 1 } }, 'f32');
          const { start } = interpret(program, checkpoint.weights);
          for (const [t, text] of texts.entries()) {
            const pool = createPool(rule.pooling);
            pool.add(0, start().hidden(text));
            const ours = shapedEmbedding(pool.vector(), rule.normalize ? { normalize: true } : { normalize: false });
            const theirs = shapedEmbedding(Float32Array.from(oracle[i][t]), { normalize: true });
            const distance = Math.hypot(...ours.map((value, j) => value - theirs[j]));
            expect(distance).toBeLessThan(tolerance);
            // Or the tolerance would tell nothing.
            const other = shapedEmbedding(Float32Array.from(oracle[1 - i][t]), { normalize: true });
            expect(Math.hypot(...ours.map((value, j) => value - other[j]))).toBeGreaterThan(10 * tolerance);
          }
          checkpoint.close();
        }
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    limitMs,
  );
});
