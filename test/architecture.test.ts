// The direction of imports, entry through index files, where I/O may happen, and file length.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const src = join(root, 'src');

/** DESIGN: a part may import itself and these. A new edge is a decision, written in docs/decisions.md. */
const mayImport: Record<string, readonly string[]> = {
  core: [],
  spec: ['core'],
  model: ['core', 'spec'],
  protocol: ['core'],
  wafer: ['core', 'spec', 'model'],
  compiler: ['core', 'spec', 'model', 'wafer'],
  sim: ['core', 'spec', 'model', 'wafer'],
  runtime: ['core', 'spec', 'model', 'protocol', 'wafer'],
  train: ['core', 'spec', 'model', 'wafer'],
  loadgen: ['core', 'spec', 'protocol'],
  gateway: ['core', 'protocol'],
  plan: ['core', 'spec', 'model', 'protocol', 'wafer', 'compiler', 'sim', 'runtime', 'train', 'loadgen'],
  app: [
    'core',
    'spec',
    'model',
    'protocol',
    'wafer',
    'compiler',
    'sim',
    'runtime',
    'train',
    'loadgen',
    'gateway',
    'plan',
  ],
};

/** Files over the cap, with the reason. */
const longFiles: Record<string, string> = {};
const fileLengthCap = 600;
/** Raised only on purpose (STYLE 7). */
const sourceLineBudget = 63_000;

const files = (readdirSync(src, { recursive: true }) as string[])
  .filter((name) => name.endsWith('.ts'))
  .map((name) => join(src, name));
/** AssemblyScript is not TypeScript: it imports nothing from here and touches only its own memory. */
const typescript = files.filter((file) => !file.endsWith('.as.ts'));
const isTest = (file: string): boolean => /\.(test|laws)\.ts$/.test(file) || /[/\\]testing[/\\]/.test(file);
const partOf = (file: string): string => relative(src, file).split(sep)[0];
const isNodeOnly = (file: string): boolean => file.endsWith('.node.ts') || partOf(file) === 'app';

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [
    ...text.matchAll(
      /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]|(?:^|\n)import\s+['"]([^'"]+)['"]/g,
    ),
  ].map((m) => m[1] ?? m[2] ?? m[3]);
}

describe('architecture', () => {
  it('reads the sources', () => expect(typescript.length).toBeGreaterThan(20));

  it('parts import only what the table allows, through index files', () => {
    const violations: string[] = [];
    for (const file of typescript) {
      const from = partOf(file);
      for (const specifier of importsOf(file)) {
        if (!specifier.startsWith('.')) continue;
        const target = resolve(dirname(file), specifier);
        if (!target.startsWith(src + sep)) {
          if (!isTest(file) && !target.endsWith('.json'))
            violations.push(`${relative(root, file)} imports ${specifier}, outside src`);
          continue;
        }
        const to = partOf(target);
        if (to === from) continue;
        // Tests and laws may compare any two parts: differential tests are the point of the ladder.
        if (!isTest(file) && !(mayImport[from] ?? []).includes(to))
          violations.push(`${relative(root, file)} (${from}) imports ${to}`);
        if (!/[/\\](index|index\.node)\.ts$/.test(target))
          violations.push(`${relative(root, file)} enters ${to} by ${specifier}, not its index`);
      }
    }
    expect(violations).toEqual([]);
  });

  it('only *.node.ts and app touch the world', () => {
    const violations: string[] = [];
    const world = [
      /from ['"]node:/,
      /\bprocess\.(env|argv|cwd|std|exit|on)\b/,
      /\bDate\.now\(/,
      /\bnew Date\(\)/,
      /\bMath\.random\(/,
      /\bperformance\.now\(/,
    ];
    const npmAllowed = new Set([
      'typebox',
      'typebox/compile',
      'typebox/value',
      '@huggingface/jinja',
      '@bufbuild/protobuf/wire',
      '@huggingface/tokenizers',
      '@msgpack/msgpack',
      'prom-client',
    ]);
    for (const file of typescript.filter((f) => !isTest(f) && !isNodeOnly(f))) {
      const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, '');
      for (const pattern of world)
        if (pattern.test(text)) violations.push(`${relative(root, file)} uses ${pattern.source}`);
      for (const specifier of importsOf(file)) {
        if (/index\.node\.ts$|\.node\.ts$/.test(specifier))
          violations.push(`${relative(root, file)} imports ${specifier}`);
        if (!specifier.startsWith('.') && !specifier.startsWith('node:') && !npmAllowed.has(specifier))
          violations.push(`${relative(root, file)} imports package ${specifier}`);
      }
    }
    expect(violations).toEqual([]);
  });

  it('files stay short and the whole within its budget', () => {
    const lengths = files.map((file) => ({
      file: relative(root, file),
      lines: readFileSync(file, 'utf8').split('\n').length - 1,
    }));
    expect(lengths.filter(({ file, lines }) => lines > fileLengthCap && longFiles[file] === undefined)).toEqual([]);
    const total = lengths.filter(({ file }) => !isTest(file)).reduce((sum, { lines }) => sum + lines, 0);
    expect(total).toBeLessThan(sourceLineBudget);
  });

  it('no catch-all names', () => {
    const banned = /(^|[-/])(util|utils|helper|helpers|common|manager|misc|base|impl)([-./]|$)/;
    expect(files.map((f) => relative(src, f).split(sep).join('/')).filter((name) => banned.test(name))).toEqual([]);
  });
});
