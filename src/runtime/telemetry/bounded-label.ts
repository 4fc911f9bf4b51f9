/** What stands for every value over the bound. */
export const OTHER = 'other';

/**
 * Values of a label that come from outside, kept to the first so many, because each is a series in every scraper's
 * memory for good.
 */
export function boundedLabel(most: number): (value: string) => string {
  const known = new Set<string>();
  return (value) => {
    if (known.has(value)) return value;
    if (known.size >= most) return OTHER;
    known.add(value);
    return value;
  };
}
