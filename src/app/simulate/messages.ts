// What the threads that simulate and the one that waits for them say to one another.

import type { Diagnostic } from '../../core/index.ts';
import type { Point, PointOutcome, Wanted } from './point.ts';

export interface Order {
  readonly point: Point;
  readonly wanted: Wanted;
}

export type Answer =
  | { readonly kind: 'begun'; readonly expected: number }
  | { readonly kind: 'at'; readonly cycle: number }
  | { readonly kind: 'done'; readonly outcome: PointOutcome }
  /** Bad input, or a program that cannot run. */
  | { readonly kind: 'refused'; readonly diagnostics: readonly Diagnostic[] }
  /** A defect of Ingot. */
  | { readonly kind: 'broken'; readonly error: unknown };
