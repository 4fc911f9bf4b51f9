// Artifacts as a person makes and uses them.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { findWafer } from '../../src/spec/index.ts';
import { expectGolden } from '../golden.ts';
import { runIngot, transcript } from './run-cli.ts';

const shipped = resolve(import.meta.dirname, '../../checkpoint');
const root = mkdtempSync(join(tmpdir(), 'ingot-artifact-cli-'));
const path = (name: string): string => join(root, name);

beforeAll(async () => {
  expect((await runIngot('compile', shipped, '--out', path('tiny.ingot'))).code).toBe(0);
  expect((await runIngot('compile', 'qwen3-0.6b', '--out', path('shape.ingot'), '--json')).code).toBe(0);
  const damaged = readFileSync(path('tiny.ingot'));
  damaged[damaged.length >> 1] ^= 1;
  writeFileSync(path('damaged.ingot'), damaged);
  damaged.writeUint32LE(2, 8);
  writeFileSync(path('newer.ingot'), damaged);
});
afterAll(() => rmSync(root, { recursive: true }));

describe('an artifact', () => {
  it('is looked into', async () => {
    const { code, out } = await runIngot('inspect', path('tiny.ingot'));
    expect(code).toBe(0);
    // The report behind it is that of compile, which has goldens of its own.
    expectGolden('cli/inspect.txt', out.split('\n\n')[0]);
    const compiled = (await runIngot('compile', shipped)).out;
    const decode = /Decode, one token[^]*?\n\n/;
    expect(decode.exec(out)?.[0]).toBe(decode.exec(compiled)?.[0]);
  });

  it('answers as the folder does', async () => {
    const ask = ['--prompt', 'What is a wafer?', '--chat', '--json'];
    const [one, two] = [
      await runIngot('run', '--model', shipped, ...ask),
      await runIngot('run', '--model', path('tiny.ingot'), ...ask),
    ];
    const textOf = (out: string): string => (JSON.parse(out) as { text: string }).text;
    expect(textOf(two.out)).toBe(textOf(one.out));
  });

  it('keeps its wafer and its room for cached tokens, whatever a command assumes without one', async () => {
    const small = path('small.ingot');
    expect((await runIngot('compile', shipped, '--wafer', 'wse2', '--context', '100', '--out', small)).code).toBe(0);
    const { code, out } = await runIngot('energy', small, '--json');
    expect(code).toBe(0);
    const report = JSON.parse(out) as {
      readonly simulated: string;
      readonly context: number;
      readonly power: { readonly rated: number };
    };
    expect(report.simulated).toContain('WSE-2');
    expect(report.power.rated).toBe(findWafer('wse2').systemPower.value);
    const room = JSON.parse((await runIngot('inspect', small, '--json')).out) as {
      readonly report: { readonly placement: { readonly kvTokensRoom: number } };
    };
    expect(report.context).toBeLessThanOrEqual(room.report.placement.kvTokensRoom);
  });

  it('is evaluated in other formats from the checkpoint in it', async () => {
    const { code, out } = await runIngot(
      'evaluate',
      path('tiny.ingot'),
      '--tokens',
      '64',
      '--weights',
      'int4',
      '--json',
    );
    expect(code).toBe(0);
    const { variants } = JSON.parse(out) as {
      readonly variants: readonly { readonly numerics: { readonly weights: string }; readonly bytes: number }[];
    };
    expect(variants.map(({ numerics }) => numerics.weights)).toEqual(['bf16', 'int4-32']);
    expect(variants[1].bytes).toBeLessThan(variants[0].bytes / 2);
  });

  it('is ported as what it was made from', async () => {
    const [one, two] = [
      await runIngot('port', path('tiny.ingot'), '--wafer', 'wse2', '--json'),
      await runIngot('port', shipped, '--wafer', 'wse2', '--json'),
    ];
    expect(one.code).toBe(0);
    expect(one.out).toBe(two.out);
  });

  it('shares its room for cached tokens between sequences', async () => {
    const report = async (inFlight: number): Promise<{ context: number; inFlight: number }> =>
      JSON.parse((await runIngot('energy', path('tiny.ingot'), '--in-flight', `${inFlight}`, '--json')).out) as never;
    const room = JSON.parse((await runIngot('inspect', path('tiny.ingot'), '--json')).out) as {
      readonly report: { readonly placement: { readonly kvTokensRoom: number } };
    };
    const { context } = await report(1000);
    expect(context).toBe(Math.floor(room.report.placement.kvTokensRoom / 1000));
  });

  it.each([
    ['inspect-a-folder', ['inspect', shipped]],
    ['inspect-damaged', ['inspect', path('damaged.ingot')]],
    ['run-newer', ['run', '--model', path('newer.ingot'), '--prompt', 'x']],
    ['run-without-weights', ['run', '--model', path('shape.ingot'), '--prompt', 'x']],
    ['other-wafer', ['energy', path('tiny.ingot'), '--wafer', 'wse2']],
    ['too-many-in-flight', ['energy', path('tiny.ingot'), '--in-flight', '900000']],
    ['compile-compiled', ['compile', path('tiny.ingot')]],
    ['out-unwritable', ['compile', 'qwen3-0.6b', '--json', '--out', path('nowhere/x.ingot')]],
  ])('error: %s', async (name, argv) => {
    const { code, err } = await runIngot(...argv);
    expect(code).toBe(1);
    const shown = transcript(argv, { code, out: '', err });
    expectGolden(`cli/error-artifact-${name}.txt`, shown.replaceAll(root, '<dir>').replaceAll(shipped, '<checkpoint>'));
  });
});
