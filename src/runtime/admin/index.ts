export * from './admin-api.ts';
