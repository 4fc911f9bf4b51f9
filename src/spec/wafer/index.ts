import { findById } from '../registry.ts';
import type { WaferFacts } from './wafer-facts.ts';
import { wse1 } from './wse1.ts';
import { wse2 } from './wse2.ts';
import { wse3Turbo } from './wse3-turbo.ts';
import { wse3 } from './wse3.ts';

const known = { wse1, wse2, wse3, 'wse3-turbo': wse3Turbo };

/** What has facts of its own for each wafer does not compile while one is missing. */
export type WaferId = keyof typeof known;

/** Every wafer that Ingot knows, by id. */
export const wafers: Readonly<Record<string, WaferFacts>> = known;

/** @throws IngotError WAFER_UNKNOWN, with the nearest id and the list */
export const findWafer = (id: string): WaferFacts => findById(wafers, id, 'wafer', 'WAFER_UNKNOWN');
