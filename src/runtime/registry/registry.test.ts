import { describe, expect, it } from 'vitest';

import { seconds, type Clock } from '../../core/index.ts';
import { createTestApi } from '../testing/test-api.ts';
import { createRegistry, type ModelVersion } from './registry.ts';

/** A version that says what becomes of it. */
function version(id: string, log: string[], name: string): ModelVersion {
  const { engine, tokenizer } = createTestApi();
  return {
    model: { id, created: 0, ownedBy: 'test', engine, tokenizer, eos: [] },
    warmUp: async () => void log.push(`${name} warmed up`),
    close: async () => {
      log.push(`${name} closed`);
      await engine.close();
    },
  };
}

function setUp() {
  let now = 0;
  const log: string[] = [];
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  const clock: Clock = { now: () => seconds(now) };
  const registry = createRegistry({
    clock,
    after(time, callback) {
      const timer = { at: now + time, callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  });
  const passTo = (time: number): void => {
    now = time;
    for (const timer of timers) if (timer.at <= now && timers.delete(timer)) timer.callback();
  };
  const states = (): string[] => registry.status('m').versions.map(({ version: n, state }) => `${n} ${state}`);
  const load = (name: string) => registry.load('m', async () => version('m', log, name));
  const swap = (name: string, keepWarm = 60) =>
    registry.swap('m', async () => version('m', log, name), seconds(keepWarm));
  return { registry, log, passTo, states, load, swap };
}

describe('registry', () => {
  it('warms a version up before it takes requests', async () => {
    const { registry, log, load } = setUp();
    const loading = load('a');
    expect(() => registry.acquire('m')).toThrow('MODEL_NOT_FOUND');
    await loading;
    expect(log).toEqual(['a warmed up']);
    expect(registry.acquire('m').version).toBe(1);
  });

  it('leaves requests in progress where they began, and closes a version after its last', async () => {
    const { registry, log, load, swap, states, passTo } = setUp();
    await load('a');
    const old = registry.acquire('m');
    await swap('b');
    expect(states()).toEqual(['1 warm', '2 live']);
    expect(registry.acquire('m').version).toBe(2);
    passTo(59);
    expect(states()).toEqual(['1 warm', '2 live']);
    passTo(60);
    expect(states()).toEqual(['1 draining', '2 live']);
    expect(log).not.toContain('a closed');
    old.release();
    old.release();
    expect(states()).toEqual(['2 live']);
    expect(log).toContain('a closed');
  });

  it('rolls back at once, and forward again', async () => {
    const { registry, load, swap, states, passTo } = setUp();
    await load('a');
    expect(() => registry.rollback('m', seconds(60))).toThrow('NOTHING_WARM');
    await swap('b');
    registry.rollback('m', seconds(60));
    expect(states()).toEqual(['1 live', '2 warm']);
    registry.rollback('m', seconds(60));
    expect(states()).toEqual(['1 warm', '2 live']);
    passTo(61);
    expect(states()).toEqual(['2 live']);
    expect(() => registry.rollback('m', seconds(60))).toThrow('NOTHING_WARM');
  });

  it('gives each version a fingerprint of its own, and the old one back', async () => {
    const { registry, load, swap } = setUp();
    const fingerprint = (): string => registry.acquire('m').model.fingerprint;
    await load('a');
    const first = fingerprint();
    await swap('b');
    expect(fingerprint()).not.toBe(first);
    registry.rollback('m', seconds(0));
    expect(fingerprint()).toBe(first);
  });

  it('keeps one warm version, and none where none is wanted', async () => {
    const { log, load, swap, states } = setUp();
    await load('a');
    await swap('b');
    await swap('c');
    expect(states()).toEqual(['2 warm', '3 live']);
    expect(log).toContain('a closed');
    await swap('d', 0);
    expect(states()).toEqual(['4 live']);
  });

  it('stays as it is where a version fails to open or to warm up', async () => {
    const { registry, log, load, states } = setUp();
    await load('a');
    const broken = { ...version('m', log, 'b'), warmUp: () => Promise.reject(new Error('no memory')) };
    await expect(registry.swap('m', async () => broken, seconds(60))).rejects.toThrow('no memory');
    await expect(registry.swap('m', () => Promise.reject(new Error('no file')), seconds(60))).rejects.toThrow(
      'no file',
    );
    expect(log).toEqual(['a warmed up', 'b closed']);
    expect(states()).toEqual(['1 live']);
  });

  it('refuses names that are taken and changes that overlap', async () => {
    const { registry, load, swap } = setUp();
    await load('a');
    await expect(load('b')).rejects.toThrow('MODEL_NAME_TAKEN');
    expect(() => registry.setAlias('m', 'm')).toThrow('MODEL_NAME_TAKEN');
    expect(() => registry.setAlias('chat', 'n')).toThrow('MODEL_NOT_SERVED');
    const swapping = swap('b');
    expect(() => registry.unload('m')).toThrow('MODEL_BUSY');
    await expect(swap('c')).rejects.toThrow('MODEL_BUSY');
    await swapping;
  });

  it('finds by alias, and forgets aliases with their model', async () => {
    const { registry, log, load } = setUp();
    await load('a');
    registry.setAlias('chat', 'm');
    const lease = registry.acquire('chat');
    expect(lease.model.id).toBe('m');
    expect(registry.list()[0].aliases).toEqual(['chat']);
    registry.unload('m');
    expect(() => registry.acquire('chat')).toThrow('MODEL_NOT_FOUND');
    expect(log).not.toContain('a closed');
    lease.release();
    expect(log).toContain('a closed');
    expect(registry.closed.map(({ id }) => id)).toEqual(['m']);
  });
});
