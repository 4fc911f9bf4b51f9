import { describe, expect, it } from 'vitest';
import { createVirtualClock, joules, seconds, type Seconds } from '../core/index.ts';
import { tpot } from '../protocol/index.ts';
import { createEngine } from './engine.ts';
import type { FinishEvent } from './engine-request.ts';
import { createPacer } from './pace.ts';
import { createTestExecutor } from './testing/test-executor.ts';

/** An engine on a machine whose steps take `work` seconds, at the pace of a wafer whose steps take `step`. */
function createPaced(step: number, work: (sequences: number) => number) {
  const clock = createVirtualClock(seconds(100));
  const pacer = createPacer(clock, (time) => {
    if (time > clock.now()) clock.advanceTo(time);
    return Promise.resolve();
  });
  const executor = createTestExecutor({
    onStep: ({ items }) => clock.advanceTo(seconds(clock.now() + work(items.length))),
  });
  const stepModel = { basis: 'test', step: () => ({ time: seconds(step), energy: joules(0) }) };
  const engine = createEngine({ executor, clock, stepModel, pacer, pause: () => Promise.resolve() });
  const run = async (maxTokens: number, seed = 1): Promise<FinishEvent> => {
    const request = { prompts: [[1]], maxTokens, sampling: { temperature: 1 }, seed };
    for await (const event of engine.submit(request)) if (event.kind === 'finish') return event;
    throw new Error('no finish');
  };
  return { engine, clock, run };
}

describe('pace', () => {
  it("releases tokens at the wafer's time, without drift, and goes on from now after a rest", async () => {
    const { engine, clock, run } = createPaced(1e-3, () => 0.4e-3);
    const { timeline } = await run(40);
    expect(timeline.tokens.map((t) => (t - 100).toFixed(6))).toEqual(
      Array.from({ length: 40 }, (_, i) => ((i + 1) / 1000).toFixed(6)),
    );
    expect(engine.counts.pace).toMatchObject({ steps: 40, lateSteps: 0 });
    clock.advanceTo(seconds(200));
    expect((await run(1)).timeline.tokens[0]).toBeCloseTo(200.001, 9);
  });

  it('goes as fast as it can where it is behind, and says by how much and from how many sequences', async () => {
    // Three sequences are more than the machine can do in time.
    const { engine, run } = createPaced(1e-3, (sequences) => sequences * 0.4e-3);
    expect(tpot((await run(30)).timeline) as Seconds).toBeCloseTo(1e-3, 9);
    await Promise.all([run(30, 1), run(30, 2)]);
    expect(engine.counts.pace?.behindFrom).toBe(undefined);
    const [{ timeline }] = await Promise.all([1, 2, 3, 4].map((seed) => run(30, seed)));
    expect(tpot(timeline) as Seconds).toBeCloseTo(1.6e-3, 9);
    const { lateSteps, worstSeconds, lateSeconds, behindFrom } = engine.counts.pace ?? {};
    expect(lateSteps).toBe(30);
    expect(worstSeconds).toBeCloseTo(30 * 0.6e-3, 9);
    expect(lateSeconds).toBeCloseTo(0.6e-3 * ((30 * 31) / 2), 9);
    expect(behindFrom).toBe(3);
  });

  it('does not take a machine that stood still once for one that is too slow', async () => {
    let steps = 0;
    const { engine, run } = createPaced(1e-3, () => (steps++ === 5 ? 20e-3 : 0.4e-3));
    await run(60);
    const { lateSteps, behindFrom } = engine.counts.pace ?? {};
    // 19 ms behind, of which each step makes up for 0.6.
    expect(lateSteps).toBeGreaterThan(30);
    expect(behindFrom).toBe(undefined);
  });
});
