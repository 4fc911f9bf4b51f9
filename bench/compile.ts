// Time and peak memory of compiling by shape, one fresh process per model, as `ingot compile NAME` does it.
// usage: node bench/compile.ts [MODEL …]      default: the largest dense shape and two others
// Goal: llama-3.1-405b under 2 s and 500 MB.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { median, renderTable } from '../src/core/index.ts';

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
