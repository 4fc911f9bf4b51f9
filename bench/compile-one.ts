import { compile } from '../src/compiler/index.ts';
import { graphOf } from '../src/model/index.ts';
import { createPlacementCost, createStepModel } from '../src/sim/index.ts';
import { findLlm, findWafer, resolveWafer } from '../src/spec/index.ts';

/** Compile one shape for a WSE-3, price a token, and print the peak resident memory in kB. */
export function place(model: string): void {
  const wafer = resolveWafer(findWafer('wse3'));
  const graph = graphOf(findLlm(model).shape);
  const numerics = { weights: 'f16', activations: 'fp16', kv: 'fp16' } as const;
  const program = compile({
    model,
    graph,
    wafer,
    numerics,
    kvTokens: 8192,
    cost: createPlacementCost(graph, numerics, wafer),
  });
  createStepModel(program, wafer).decode(2048);
  process.stdout.write(String(process.resourceUsage().maxRSS));
}
