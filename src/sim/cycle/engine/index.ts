// The engines, fastest first. All give the same cycles, counts and values; `plain` is the definition.
import type { EngineKind } from './engine.ts';
import { plain } from './plain.ts';
import { routes } from './routes.ts';
import { streams } from './streams.ts';

export const engines: readonly EngineKind[] = [streams, routes, plain];

export * from './engine.ts';
