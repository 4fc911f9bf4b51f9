export * from './tenant.ts';
export * from './access.ts';
export { createTokenBucket, type TokenBucket } from './token-bucket.ts';
