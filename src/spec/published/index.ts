import { parsePublishedRows, type PublishedRow } from './published-row.ts';
import wafer from './wafer.json' with { type: 'json' };

/** What others measured on, or claim of, wafer-scale engines. Facts to compare with, never inputs of the model. */
export const publishedRows: readonly PublishedRow[] = parsePublishedRows(wafer);
