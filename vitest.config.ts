import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    setupFiles: ['test/setup.ts'],
    // Two cores: more workers only add start-up cost. A test that needs longer says so itself.
    maxWorkers: 2,
    testTimeout: 30_000,
  },
});
