import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seconds } from '../core/index.ts';
import { e2e, itl, queueTime, tpot, ttft, type Timeline } from './timeline.ts';

const gaps = fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 1, maxLength: 50 });

function timelineOf(sent: number, spans: readonly number[]): Timeline {
  let time = sent;
  const tokens = spans.map((gap) => seconds((time += gap)));
  return { pointOfView: 'client', sent: seconds(sent), tokens };
}

describe('timeline', () => {
  it('E2E = TTFT + sum of ITL, and TPOT is the mean ITL of one request', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), gaps, (sent, spans) => {
        const timeline = timelineOf(sent, spans);
        const sum = itl(timeline).reduce((a, b) => a + b, 0);
        expect((ttft(timeline) as number) + sum).toBeCloseTo(e2e(timeline) as number, 6);
        if (spans.length > 1) expect((tpot(timeline) as number) * (spans.length - 1)).toBeCloseTo(sum, 6);
      }),
    );
  });

  it('measures a worked example', () => {
    const timeline = { ...timelineOf(10, [2, 0.5, 0.25]), queued: seconds(10.25), started: seconds(11) };
    expect(ttft(timeline)).toBe(2);
    expect(itl(timeline)).toEqual([0.5, 0.25]);
    expect(e2e(timeline)).toBe(2.75);
    expect(tpot(timeline)).toBe(0.375);
    expect(queueTime(timeline)).toBe(0.75);
  });

  it('has no figure where nothing was measured', () => {
    const silent: Timeline = { pointOfView: 'client', sent: seconds(1), tokens: [] };
    expect([ttft(silent), tpot(silent), e2e(silent), queueTime(silent), itl(silent)]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      [],
    ]);
    expect(tpot({ ...silent, tokens: [seconds(2)] })).toBeUndefined();
  });
});
