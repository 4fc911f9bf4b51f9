// ingot simulate: its report, its files, its order, and how it ends.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { inflateSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';

import type { PointReport } from '../../src/app/simulate/point.ts';
import { expectGolden } from '../golden.ts';
import { runIngot, transcript } from './run-cli.ts';

const root = mkdtempSync(join(tmpdir(), 'ingot-simulate-'));
afterAll(() => rmSync(root, { recursive: true }));
const path = (name: string): string => join(root, name);

/** Wall time is the only thing in a report that differs from run to run. */
const withoutSpeed = (text: string): string => text.replace(/^( +speed +).*$/m, '$1<speed>');

async function expectTranscript(name: string, argv: readonly string[]): Promise<void> {
  const text = withoutSpeed(transcript(argv, await runIngot(...argv))).replaceAll(root, '<dir>');
  expect(Math.max(...text.split('\n').map((line) => [...line].length))).toBeLessThanOrEqual(80);
  expectGolden(`cli/${name}.txt`, text);
}

async function reportOf(...argv: readonly string[]): Promise<PointReport> {
  const { code, out } = await runIngot('simulate', ...argv, '--json');
  expect(code).toBe(0);
  return JSON.parse(out) as PointReport;
}

describe('reports', () => {
  it.each([
    ['simulate', ['simulate', 'two-phase', '--mesh', '64x2', '--words', '32', '--group', '8']],
    ['simulate-gemv', ['simulate', 'gemv', '--mesh', '6x8', '--k', '48', '--n', '30', '--type', 'fp16']],
    ['simulate-layer', ['simulate', 'decode-layer', '--mesh', '8x6', '--heads', '4', '--kv-heads', '2', '--append']],
    ['simulate-top-k', ['simulate', 'top-k', '--mesh', '9x2', '--n', '70', '--k', '3']],
    ['simulate-list', ['simulate', '--list']],
    ['simulate-sweep', ['simulate', 'two-level', '--words', '8', '--sweep', 'mesh=32x1,8x1', '--sweep', 'group=2,4']],
  ])('%s', (name, argv) => expectTranscript(name, argv));

  it('hold figures that fit together', async () => {
    const report = await reportOf('chain', '--mesh', '20x3', '--words', '50');
    const { cycles, breakdown, counts, values, pes, utilisation } = report;
    expect(Object.values(breakdown ?? {}).reduce((sum, part) => sum + part, 0)).toBe(cycles);
    expect(pes).toBe(60);
    // Each of 19 links a row carries every word once, and each of 3 roots holds 50 sums.
    expect(counts.hops).toBe(3 * 19 * 50);
    expect(utilisation.linksUsed).toBe(3 * 19);
    expect(utilisation.link).toBeCloseTo(50 / cycles, 12);
    expect(values).toEqual({ checked: 150, correct: 150, exact: true });
  });

  it('of a column are those of a row', async () => {
    const [row, column] = [await reportOf('tree', '--mesh', '9x1'), await reportOf('tree', '--mesh', '1x9')];
    expect(column.cycles).toBe(row.cycles);
    expect(column.values).toEqual(row.values);
  });

  it('name the published row of the same shape, whatever the group of an algorithm without groups', async () => {
    const { published, cycles } = await reportOf('chain', '--mesh', '512x1', '--words', '4096', '--no-breakdown');
    expect(published.map(({ id }) => id)).toEqual(['C01']);
    expect(published[0].error).toBeCloseTo(cycles / published[0].value - 1, 12);
    const { published: none } = await reportOf('chain', '--mesh', '16x1');
    expect(none).toEqual([]);
  });

  it('come from the inputs of a seed', async () => {
    const of = async (seed: string) => {
      const { wallSeconds: _, ...report } = await reportOf('star', '--mesh', '5x1', '--seed', seed);
      return report;
    };
    expect(await of('7')).toEqual(await of('7'));
  });
});

describe('a mesh beyond memory', () => {
  it('is refused before anything is allocated', async () => {
    const argv = ['simulate', 'gemv', '--mesh', '750x994', '--k', '131072', '--n', '131072'];
    const text = transcript(argv, await runIngot(...argv));
    expectGolden('cli/error-simulate-too-large.txt', text.replace(/at most .* GB/, 'at most <memory>'));
  });
});

describe('--sweep', () => {
  it('keeps the order of its points, however long each takes', async () => {
    const { code, out } = await runIngot(
      'simulate',
      'chain',
      '--sweep',
      'mesh=200x1,4x1,60x1',
      '--sweep',
      'words=9,3',
      '--json',
    );
    expect(code).toBe(0);
    const { points } = JSON.parse(out) as { points: PointReport[] };
    expect(points.map(({ mesh, sizes }) => `${mesh.width}:${sizes['words']}`)).toEqual([
      '200:9',
      '200:3',
      '4:9',
      '4:3',
      '60:9',
      '60:3',
    ]);
  });

  it('ends with the first refusal in that order', async () => {
    const { code, out } = await runIngot('simulate', 'chain', '--sweep', 'words=8,20000,4', '--json');
    expect(code).toBe(1);
    const { errors } = JSON.parse(out) as { errors: { code: string }[] };
    expect(new Set(errors.map((error) => error.code))).toEqual(new Set(['SRAM_OVER']));
  });
});

interface TraceFileEvent {
  readonly ph: string;
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur: number;
  readonly args: Readonly<Record<string, number | string>>;
}

describe('--trace', () => {
  it('writes what Perfetto opens: complete events in order, nested on their track, named tracks', async () => {
    const file = path('trace.json');
    const argv = [
      'two-level',
      '--mesh',
      '12x3',
      '--words',
      '40',
      '--trace',
      file,
      '--trace-links',
      '--trace-pes',
      '24',
    ];
    const { cycles } = await reportOf(...argv);
    const trace = JSON.parse(readFileSync(file, 'utf8')) as {
      displayTimeUnit: string;
      otherData: { time: string };
      traceEvents: TraceFileEvent[];
    };
    expect(trace.displayTimeUnit).toBe('ns');
    expect(trace.otherData.time).toContain('1 us in this trace is 1 cycle');
    const timed = trace.traceEvents.filter(({ ph }) => ph !== 'M');
    expect(new Set(timed.map(({ ph }) => ph))).toEqual(new Set(['X', 'C']));
    expect(new Set(timed.map(({ pid }) => pid)).size).toBe(24);
    for (const [i, event] of timed.entries()) {
      expect(event.ts).toBeGreaterThanOrEqual(i === 0 ? 0 : timed[i - 1].ts);
      if (event.ph === 'X') expect(event.ts + event.dur).toBeLessThanOrEqual(cycles);
    }
    const tracks = Map.groupBy(
      timed.filter(({ ph }) => ph === 'X'),
      ({ pid, tid }) => `${pid} ${tid}`,
    );
    const named = trace.traceEvents.filter(({ name }) => name === 'thread_name').map(({ pid, tid }) => `${pid} ${tid}`);
    expect(new Set(named)).toEqual(new Set(tracks.keys()));
    for (const events of tracks.values()) {
      const open: number[] = [];
      for (const { ts, dur } of events) {
        while (open.length > 0 && (open.at(-1) as number) <= ts) open.pop();
        // An event inside another ends with it at the latest.
        if (open.length > 0) expect(ts + dur).toBeLessThanOrEqual(open.at(-1) as number);
        open.push(ts + dur);
      }
    }
    // Wavelets are counted where they leave: 40 words over 11 links a row, but only two of three rows are traced.
    const carried = timed
      .filter(({ ph }) => ph === 'C')
      .reduce((sum, { args }) => sum + 32 * (Number(args['E']) + Number(args['W'])), 0);
    const { counts } = await reportOf('two-level', '--mesh', '12x2', '--words', '40');
    expect(carried).toBe(counts.hops);
  });
});

describe('--heatmap', () => {
  it.each(['1x1', '30x1', '1x9', '6x7', '300x2'])('%s as SVG with its cells inside', async (mesh) => {
    const file = path('map.svg');
    await reportOf('tree', '--mesh', mesh, '--words', '4', '--heatmap', file);
    const svg = readFileSync(file, 'utf8');
    expect(svg).toContain(`tree on ${mesh.replace('x', ' x ')} PEs of WSE-2, words 4, fp32`);
    for (const panel of ['Busy', 'Stalled', 'Link load']) expect(svg).toContain(`>${panel}</text>`);
    const pictures = [...svg.matchAll(/base64,([\w+/=]+)"/g)].map(([, text]) => Buffer.from(text, 'base64'));
    expect(pictures).toHaveLength(3);
    for (const png of pictures)
      expect(png.readUInt32BE(16) * Number(mesh.split('x')[1])).toBe(png.readUInt32BE(20) * Number(mesh.split('x')[0]));
  });

  it('as PNG: every row of pixels is there', async () => {
    const file = path('map.png');
    await reportOf('chain', '--mesh', '5x4', '--words', '4', '--heatmap', file);
    const png = readFileSync(file);
    expect([...png.subarray(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10]);
    const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
    const at = png.indexOf('IDAT');
    expect(inflateSync(png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4))).length).toBe(height * (width + 1));
    expect(png.includes('Busy 0 to')).toBe(true);
  });
});

describe('the program', () => {
  it('ends by Ctrl-C in the middle of a run, without half a trace', async () => {
    const bin = resolve(import.meta.dirname, '../../bin/ingot.mjs');
    const file = path('half.json');
    const child = spawn(process.execPath, [
      bin,
      'simulate',
      'chain',
      '--mesh',
      '300x300',
      '--words',
      '2000',
      '--trace',
      file,
    ]);
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (part: Buffer) => void (text += part.toString()));
    const ended = new Promise<number | null>((done) => child.once('close', done));
    // The trace is opened just before the first cycle.
    while (!existsSync(file)) await new Promise((next) => setTimeout(next, 20));
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    expect(text).toBe('');
    expect(existsSync(file)).toBe(false);
  });
});
