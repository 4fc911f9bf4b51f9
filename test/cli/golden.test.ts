// What people read: help, reports, tables and errors. One golden file each.
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { commandNames } from '../../src/app/cli/main.ts';
import { MAX_ROWS_BYTES } from '../../src/app/cli/validate.ts';
import { expectGolden } from '../golden.ts';
import { writeTinyCheckpoint } from '../tiny-checkpoint.ts';
import { runIngot, transcript, transcriptsIn } from './run-cli.ts';

const root = mkdtempSync(join(tmpdir(), 'ingot-cli-'));
const tiny = join(root, 'tiny');
const path = (name: string): string => join(root, name);

beforeAll(() => {
  writeTinyCheckpoint(tiny);
  writeTinyCheckpoint(path('damaged'));
  writeFileSync(path('damaged/chat_template.jinja'), '{% for message in %}');
  writeFileSync(path('text.json'), 'rows: none');
  writeFileSync(path('rows.json'), JSON.stringify([{ id: 'X1', group: 'decode', valeu: 3 }]));
  writeFileSync(path('huge.json'), '');
  truncateSync(path('huge.json'), MAX_ROWS_BYTES + 1);
});
afterAll(() => rmSync(root, { recursive: true }));

const expectTranscript = transcriptsIn(root);

describe('help', () => {
  it('of ingot', () => expectTranscript('help', ['--help']));
  it.each(commandNames)('of %s', (name) => expectTranscript(`help-${name}`, [name, '--help']));
  it('is what no arguments and the word help give', async () => {
    const { out } = await runIngot('--help');
    expect(await runIngot()).toEqual({ code: 0, out, err: '' });
    expect((await runIngot('help')).out).toBe(out);
    expect((await runIngot('help', 'up')).out).toBe((await runIngot('up', '--help')).out);
  });
});

describe('docs/cli.md', () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../docs/cli.md'), 'utf8');
  it('lists every command', () => {
    const listed = [...text.matchAll(/^\| `(\w+)/gm)].map(([, name]) => name);
    expect(listed).toEqual(commandNames);
  });
  it('shows an error as it is', async () => {
    const { err } = await runIngot('compile', 'qwen3-0.6');
    expect(text).toContain(`$ ingot compile qwen3-0.6\n${err}`);
  });
});

describe('reports', () => {
  it.each([
    ['compile-one-wafer', ['compile', 'qwen3-0.6b']],
    ['compile-two-wafers', ['compile', 'codellama-34b', '--prompt-tokens', '256', '--clock', '1.1']],
    ['compile-mixture', ['compile', 'mixtral-8x7b', '--weights', 'int8', '--wafer', 'wse2']],
    ['compile-folder', ['compile', tiny]],
    ['compile-defects', ['compile', 'qwen3-0.6b', '--defect-seed', '1', '--objective', 'throughput']],
    ['compile-mixed-precision', ['compile', 'llama-3.1-8b', '--weights', 'int4,head=f16', '--prune', 'channels=.5']],
    ['port-name', ['port', 'qwen3-0.6b', '--weights', 'int8']],
    ['port-folder', ['port', tiny]],
    ['port-does-not-fit', ['port', 'codellama-34b', '--wafers', '1']],
    ['energy', ['energy', 'qwen3-0.6b']],
    ['energy-hot', ['energy', 'qwen3-0.6b', '--wafer', 'wse3-turbo', '--resistance', '2.25']],
    ['stream', ['stream', 'llama-3.1-8b', '--systems', '16', '--sequences', '4']],
    ['error-stream-does-not-fit', ['stream', 'llama-3.1-405b', '--length', '8192']],
    ['stream-matrices', ['stream', 'kimi-k2', '--systems', '16']],
    ['models', ['models']],
    ['validate', ['validate']],
    // Placing for the capacity rows takes seconds of its own.
  ])('%s', (name, argv) => expectTranscript(name, argv), 120_000);
});

describe('evaluate', () => {
  it.each([
    ['evaluate', ['--tokens', '100']],
    ['evaluate-pruned', ['--tokens', '70', '--weights', 'int8', '--prune', '2:4']],
  ])('%s', async (name, options) => {
    const argv = ['evaluate', './checkpoint', '--threads', '1', ...options];
    // Progress depends on the machine.
    expectGolden(`cli/${name}.txt`, transcript(argv, { ...(await runIngot(...argv)), err: '' }));
  });
});

describe('errors', () => {
  it.each([
    ['command-unknown', ['complie', 'qwen3-0.6b']],
    ['option-unknown', ['compile', 'qwen3-0.6b', '--wafr', 'wse3']],
    ['option-unknown-for-ingot', ['--jsno']],
    ['option-value-missing', ['compile', 'qwen3-0.6b', '--context']],
    ['option-out-of-range', ['compile', 'qwen3-0.6b', '--context', '0']],
    ['serve-conflict', ['serve', '--tokenizer', 'x']],
    ['serve-host-without-keys', ['serve', '--host', '0.0.0.0', '--port', '0']],
    ['serve-auth-without-keys', ['serve', '--auth', '--port', '0']],
    ['serve-tls-incomplete', ['serve', '--tls-cert', 'x.pem', '--port', '0']],
    ['serve-drafts-of-nobody', ['serve', '--draft-tokens', '3']],
    ['serve-emulate-unknown', ['serve', '--emulate', 'llama-3.1-80b', '--port', '0']],
    ['option-not-a-number', ['serve', '--port', '80a']],
    ['option-not-a-choice', ['compile', 'qwen3-0.6b', '--weights', 'fp16']],
    ['option-not-a-mesh', ['compile', 'qwen3-0.6b', '--mesh', '482']],
    ['option-missing', ['run']],
    ['argument-missing', ['compile']],
    ['argument-unexpected', ['compile', 'qwen3-0.6b', 'wse3']],
    ['model-unknown', ['compile', 'qwen3-0.6']],
    ['mesh-too-large', ['compile', 'qwen3-0.6b', '--mesh', '800x800']],
    ['does-not-fit', ['compile', 'codellama-34b', '--wafers', '1']],
    ['objective-unmet', ['compile', 'qwen3-0.6b', '--max-latency', '0.01']],
    ['pass-unknown', ['compile', 'qwen3-0.6b', '--dump-after', 'colour']],
    ['weights-class-unknown', ['compile', 'qwen3-0.6b', '--weights', 'int8,heads=bf16']],
    ['pruning-unknown', ['compile', 'qwen3-0.6b', '--prune', '4:2']],
    ['pruning-unsupported', ['compile', 'mixtral-8x7b', '--prune', 'channels=0.5']],
    ['evaluate-without-weights', ['evaluate', 'qwen3-0.6b']],
    ['evaluate-text-missing', ['evaluate', tiny, '--text', path('none.txt')]],
    ['evaluate-text-too-short', ['evaluate', tiny, '--text', path('text.json')]],
    ['evaluate-window', ['evaluate', tiny, '--window', '5000']],
    ['rows-file-missing', ['validate', '--rows', path('none.json')]],
    ['rows-file-too-large', ['validate', '--rows', path('huge.json')]],
    ['rows-file-not-json', ['validate', '--rows', path('text.json')]],
    ['rows-invalid', ['validate', '--rows', path('rows.json')]],
    ['simulate-kernel-unknown', ['simulate', 'chian']],
    ['simulate-size-unused', ['simulate', 'chain', '--k', '4']],
    ['simulate-type', ['simulate', 'top-k', '--type', 'fp16']],
    ['simulate-layer-heads', ['simulate', 'decode-layer', '--mesh', '4x8', '--heads', '3', '--kv-heads', '2']],
    ['simulate-mesh-invalid', ['simulate', 'chain', '--mesh', '751x1']],
    ['simulate-sram-over', ['simulate', 'gemv', '--mesh', '1x1', '--k', '256', '--n', '256']],
    ['simulate-sweep-unknown', ['simulate', 'two-phase', '--sweep', 'groups=2,4']],
    ['simulate-trace-region', ['simulate', 'chain', '--trace', path('t.json'), '--trace-pes', '4x4+14+0']],
    ['simulate-trace-unwritable', ['simulate', 'chain', '--trace', path('none/t.json')]],
    ['simulate-heatmap-format', ['simulate', 'chain', '--heatmap', 'wafer.bmp']],
    ['chat-without-template', ['run', '--model', tiny, '--chat', '--prompt', 'Hello']],
    ['chat-template-damaged', ['run', '--model', path('damaged'), '--chat', '--prompt', 'Hello']],
    ['context-overflow', ['run', '--model', tiny, '--prompt', 'Hello', '--max-tokens', '100']],
  ])('%s', (name, argv) => expectTranscript(`error-${name}`, argv));

  it('port in use, before a model is loaded', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const argv = ['serve', '--model', path('none'), '--port', String(port)];
      const text = transcript(argv, await runIngot(...argv)).replaceAll(root, '<dir>');
      expectGolden(
        'cli/error-port-in-use.txt',
        text.replaceAll(String(port), '<port>').replaceAll(String(port + 1), '<next port>'),
      );
      const { code, out } = await runIngot('doctor', '--port', String(port), '--json');
      expect(code).toBe(1);
      const { checks } = JSON.parse(out) as { checks: { name: string; health: string }[] };
      expect(checks.find(({ name }) => name === `port ${port}`)?.health).toBe('fail');
    } finally {
      server.close();
    }
  });
});
