// The API over a tiny engine on a real socket, closed after each test.

import { afterEach } from 'vitest';
import { startServer, type Server, type ServerOptions } from '../../src/app/http/server.ts';
import { createTestApi, type TestApi } from '../../src/runtime/testing/test-api.ts';
import type { TestExecutorOptions } from '../../src/runtime/testing/test-executor.ts';

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

export interface Served extends TestApi {
  readonly server: Server;
}

/** Starts a server that ends with the test. */
export async function listen(options: Partial<ServerOptions> & Pick<ServerOptions, 'api'>): Promise<Server> {
  const server = await startServer({ host: '127.0.0.1', port: 0, closeGraceMs: 50, ...options });
  servers.push(server);
  return server;
}

/** @param chat the chat template, if not the test's own */
export async function serveTest(
  executor: TestExecutorOptions = {},
  options: Partial<ServerOptions> = {},
  chat: string | true = true,
): Promise<Served> {
  const test = createTestApi(executor, {}, { chat });
  return { ...test, server: await listen({ api: test.api, ...options }) };
}

export const soon = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
