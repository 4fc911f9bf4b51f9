import type { RequestAccount } from '../engine-request.ts';

/** What a complete request took that took nothing but what is said. */
export const testAccount = (took: Partial<RequestAccount>): RequestAccount => ({
  outcome: 'complete',
  promptTokens: 0,
  cachedTokens: 0,
  generatedTokens: 0,
  waferSeconds: 0,
  waferJoules: 0,
  ...took,
});
