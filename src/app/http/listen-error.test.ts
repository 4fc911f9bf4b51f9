import { describe, expect, it } from 'vitest';
import { IngotError } from '../../core/index.ts';
import { listenError } from './listen-error.ts';

const named = (code: string, port: number): unknown => listenError(Object.assign(new Error(code), { code }), 'h', port);

describe('listen errors', () => {
  it('say what is wrong and what to do, and suggest a port that exists', () => {
    for (const [code, expected] of [
      ['EADDRINUSE', 'PORT_IN_USE'],
      ['EACCES', 'PORT_FORBIDDEN'],
      ['EADDRNOTAVAIL', 'HOST_NOT_AVAILABLE'],
    ]) {
      expect(named(code, 8000)).toBeInstanceOf(IngotError);
      expect((named(code, 8000) as IngotError).code).toBe(expected);
    }
    const suggestion = (port: number) => (named('EADDRINUSE', port) as IngotError).diagnostics[0].suggestion;
    expect(suggestion(8000)).toContain('--port 8001');
    expect(suggestion(65_535)).toContain('--port 65534');
  });

  it('pass on what they do not know', () => {
    const other = new Error('other');
    expect(listenError(other, 'h', 1)).toBe(other);
  });
});
