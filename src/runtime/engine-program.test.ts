// The engine on the executor that ships: what a client gets may depend neither on company nor on how company
// cuts its prompt into chunks. The executor's order of additions is the same for one token and for many.

import { describe, expect, it } from 'vitest';
import { createVirtualClock } from '../core/index.ts';
import { randomWeights } from '../model/index.ts';
import { tinyProgram, tinyShape } from '../wafer/index.ts';
import { createEngine } from './engine.ts';
import type { EngineRequest } from './engine-request.ts';
import { createProgramExecutor } from './index.node.ts';

const requests: readonly EngineRequest[] = [3, 17, 1, 40, 9].map((length, i) => ({
  prompts: [Array.from({ length }, (_, j) => (7 * i + 3 * j) % 50)],
  maxTokens: 24,
  sampling: i % 2 === 0 ? { temperature: 0 } : { temperature: 1, topP: 0.95 },
  seed: i,
}));

describe('engine on the program executor', () => {
  it.each(['bf16', 'int8'] as const)('gives %s requests the same tokens alone and in company', async (dtype) => {
    const shape = tinyShape();
    const program = tinyProgram(shape, { width: 3, height: 2, groups: { x: 2, y: 1 } }, dtype);
    const weights = randomWeights(shape, 1);
    const executor = await createProgramExecutor({ program, weights, kvTokens: 512, threads: 2, maxStepTokens: 16 });
    try {
      const read = async (list: readonly EngineRequest[], chunkSize: number): Promise<number[][]> => {
        const engine = createEngine({ executor, clock: createVirtualClock(), chunkSize });
        return Promise.all(
          list.map(async (request) => {
            const tokens: number[] = [];
            for await (const event of engine.submit(request)) {
              if (event.kind === 'tokens') tokens.push(...event.tokens.map(({ token }) => token));
            }
            return tokens;
          }),
        );
      };
      const alone: number[][] = [];
      for (const request of requests) alone.push(...(await read([request], 16)));
      expect(alone.every((tokens) => tokens.length === 24)).toBe(true);
      expect(await read(requests, 16)).toEqual(alone);
      expect(await read(requests, 5)).toEqual(alone);
    } finally {
      await executor.close();
    }
  });
});
