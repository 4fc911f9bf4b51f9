import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

import { writeTinyCheckpoint } from '../../../../test/tiny-checkpoint.ts';
import { opsOf, parameterCount } from '../../../model/index.ts';
import { total } from '../../../sim/index.ts';
import { openModel, placeModel } from '../../place.ts';
import { portedOps, reportPort } from './port.ts';

const options = { wafer: 'wse3', kvTokens: 4096 };

describe('the porting report', () => {
  const model = openModel('qwen3-0.6b');
  const report = reportPort(model, options);

  it('counts every op and every parameter once', () => {
    expect(report.ops.reduce((sum, { count }) => sum + count, 0)).toBe(opsOf(model.graph).length);
    expect(report.classes.reduce((sum, { parameters }) => sum + parameters, 0)).toBe(parameterCount(model.graph.shape));
    // Two bytes a parameter in f16, and a head of its own for a tied embedding.
    const { vocab, hidden } = model.graph.shape;
    const bytes = report.classes.reduce((sum, line) => sum + line.bytes, 0);
    expect(bytes).toBe(2 * (model.parameters + vocab * hidden));
  });

  it('explains the cycles of a token: all but what regions take to hand it on', () => {
    const { decode } = report;
    const causes = Object.values(decode!.causes).reduce((sum, amount) => sum + amount, 0);
    expect(causes).toBeCloseTo(decode!.cycles, 3);
    const whole = placeModel(model, options).stepModel.breakdown(decode!.cached);
    expect(decode!.cycles).toBeLessThan(total(whole));
    // To hand on needs no division.
    expect(decode!.causes.divisions).toBeCloseTo(whole.division, 3);
  });

  it('of one region, explains all cycles', () => {
    const dir = mkdtempSync(join(tmpdir(), 'ingot-port-'));
    writeTinyCheckpoint(dir);
    const tiny = openModel(dir);
    const { decode, placement } = reportPort(tiny, options);
    expect(placement!.regions).toBe(1);
    expect(decode!.cycles).toBeCloseTo(placeModel(tiny, options).stepModel.decode(decode!.cached).cycles, 6);
    tiny.checkpoint?.close();
    rmSync(dir, { recursive: true });
  });

  it('says of each change what placing it says', () => {
    const int8 = report.alternatives.find(({ options: words }) => words === '--weights int8')!;
    const { stepModel } = placeModel(model, { ...options, numerics: { weights: 'int8' } });
    expect(int8.outcome!.secondsPerToken).toBe(stepModel.decode(4095).time);
  });

  it('names what has no program of PEs', () => {
    const how = (id: string, kind: string) => {
      const other = openModel(id);
      const lines = portedOps(other, other.numerics).filter((line) => line.kind === kind);
      return lines.map((line) => line.how);
    };
    // Norms of the whole vector, and of each head, are one program.
    expect(how('qwen3-0.6b', 'rmsnorm')).toEqual(['native']);
    expect(how('gemma-2-9b', 'attention')).toEqual(['native']);
    expect(how('deepseek-v3', 'attention')).toEqual(['closed form']);
    expect(how('mixtral-8x7b', 'moe')).toEqual(['decomposed']);
    expect(how('llama-3.1-8b', 'attention')).toEqual(['native']);
    const int8 = portedOps(model, { ...model.numerics, weights: 'int8' });
    expect(int8.find(({ kind }) => kind === 'linear')!.how).toBe('closed form');
  });

  it('compares with what would fit where the model does not', () => {
    const large = reportPort(model, { wafer: 'wse3', kvTokens: 400_000, maxWafers: 1 });
    expect(large.placement).toBeUndefined();
    expect(large.refused!.code).toBe('PROGRAM_DOES_NOT_FIT');
    const fitting = large.alternatives.filter(({ outcome }) => outcome !== undefined);
    expect(fitting.length).toBeGreaterThan(0);
    for (const { outcome, refused } of large.alternatives)
      expect((outcome === undefined) !== (refused === undefined)).toBe(true);
  });
});
