import { formatCount } from '../../core/index.ts';
import type { Fact } from '../fact.ts';

/** A parameter count published to the last digit. */
export const exactly = (value: number, source: string): Fact => ({
  value,
  unit: 'parameters',
  basis: 'exact; a tied head counted once',
  source,
  standing: 'published',
});

/** A parameter count published in short form; `to` is the weight of its last digit. */
export const rounded = (value: number, to: number, source: string, counts = 'a tied head counted once'): Fact => ({
  value,
  unit: 'parameters',
  basis: `rounded to the nearest ${formatCount(to)}; ${counts}`,
  source,
  standing: 'published',
});

/** Where the exact counts come from: the hub sums the shapes in the headers of the safetensors files. */
export const hubCount = (repository: string): string => `Hugging Face ${repository}, safetensors parameter total`;
export const config = (repository: string): string => `Hugging Face ${repository}, config.json`;
