// Time and peak memory of compiling by shape, one fresh process per model, as `ingot compile NAME` does it.
// Then, in this process: a table of models by shapes of region, and the time of a step-model query.
// usage: node bench/compile.ts [MODEL …]      default: the largest dense shape and two others
// Goals: llama-3.1-405b under 5 s and 1 GB; 16 models by 6 meshes under 20 s; a query under 1 µs.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { compile } from '../src/compiler/index.ts';
import { IngotError, median, renderTable } from '../src/core/index.ts';
import { graphOf } from '../src/model/index.ts';
import { createPlacementCost, createStepModel } from '../src/sim/index.ts';
import { findLlm, findWafer, llms, resolveWafer } from '../src/spec/index.ts';
import { wafersOf } from '../src/wafer/index.ts';

const runs = 3;
const models = process.argv.slice(2);
const script = `
  const { place } = await import(${JSON.stringify(fileURLToPath(new URL('compile-one.ts', import.meta.url)))});
  place(process.argv[1]);
`;

interface Row {
  readonly model: string;
  readonly seconds: number;
  readonly megabytes: number;
}

function measure(model: string): Row {
  const results = Array.from({ length: runs }, () => {
    const start = performance.now();
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script, model], { encoding: 'utf8' });
    if (child.status !== 0) throw new Error(child.stderr);
    return { seconds: (performance.now() - start) / 1e3, megabytes: Number(child.stdout) / 1e3 };
  });
  return {
    model,
    seconds: median(results.map((r) => r.seconds)),
    megabytes: median(results.map((r) => r.megabytes)),
  };
}

const rows = (models.length > 0 ? models : ['llama-3.1-405b', 'llama-3.1-8b', 'qwen3-235b-a22b']).map(measure);
console.log(
  renderTable(
    [
      { heading: 'model', text: (r: Row) => r.model },
      { heading: 'wall, s (process included)', text: (r) => r.seconds.toFixed(2), align: 'right' },
      { heading: 'peak memory, MB', text: (r) => r.megabytes.toFixed(0), align: 'right' },
    ],
    rows,
  ),
);

const wafer = resolveWafer(findWafer('wse3'));
const numerics = { weights: 'f16', activations: 'fp16', kv: 'fp16' } as const;
/** Regions for layers, from a twentieth of a wafer to all of it. */
const meshes = [
  [151, 274],
  [188, 292],
  [377, 292],
  [755, 274],
  [755, 585],
  [755, 1170],
] as const;

/** Wafers and tokens/s of one user at context 2,048, or nothing where a layer does not fit on a region. */
function cellOf(model: string, [width, height]: readonly [number, number]): string {
  const graph = graphOf(findLlm(model).shape);
  const cost = createPlacementCost(graph, numerics, wafer);
  try {
    const program = compile({ model, graph, wafer, numerics, kvTokens: 2048, cost, mesh: { width, height } });
    return `${wafersOf(program)}: ${(1 / createStepModel(program, wafer).decode(2047).time).toFixed(0)}`;
  } catch (error) {
    if (error instanceof IngotError && error.code === 'PROGRAM_DOES_NOT_FIT') return '-';
    throw error;
  }
}

const start = performance.now();
const table = Object.keys(llms).map((model) => ({ model, cells: meshes.map((mesh) => cellOf(model, mesh)) }));
const seconds = (performance.now() - start) / 1e3;
console.log(`\nwafers: tokens/s of one user, by PEs of the regions that hold layers (simulated)`);
console.log(
  renderTable(
    [
      { heading: 'model', text: (row) => row.model },
      ...meshes.map(([width, height], i) => ({
        heading: `${width}x${height}`,
        text: (row: (typeof table)[number]) => row.cells[i],
        align: 'right' as const,
      })),
    ],
    table,
  ),
);
console.log(`${table.length} models by ${meshes.length} meshes in ${seconds.toFixed(1)} s`);

const graph = graphOf(findLlm('llama-3.1-70b').shape);
const program = compile({
  model: 'llama-3.1-70b',
  graph,
  wafer,
  numerics,
  kvTokens: 8192,
  cost: createPlacementCost(graph, numerics, wafer),
});
const model = createStepModel(program, wafer);
const queries = 1_000_000;
let sum = 0;
const begun = performance.now();
for (let i = 0; i < queries; i++) sum += model.decode((i * 7919) % 8192).time;
const each = ((performance.now() - begun) / queries) * 1e6;
console.log(
  `a step-model query: ${each.toFixed(0)} ns on average of ${queries} (mean ${((sum / queries) * 1e3).toFixed(3)} ms a token)`,
);
