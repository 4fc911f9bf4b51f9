import { describe, expect, it } from 'vitest';

import { colorAt, scaleTop } from './heat-map.ts';

/** CIE 1976 lightness of an sRGB color (IEC 61966-2-1), 0 to 100. */
function lightness(rgb: readonly number[]): number {
  const [r, g, b] = rgb.map((v) => (v <= 10.31475 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  const y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return y > (6 / 29) ** 3 ? 116 * Math.cbrt(y) - 16 : y * (29 / 3) ** 3;
}

describe('the color scale', () => {
  it('grows lighter in even steps', () => {
    const steps = 32;
    const lights = Array.from({ length: steps + 1 }, (_, i) => lightness(colorAt(i / steps)));
    const even = (lights[steps] - lights[0]) / steps;
    expect(even * steps).toBeGreaterThan(70);
    for (let i = 0; i < steps; i++) {
      expect(lights[i + 1] - lights[i]).toBeGreaterThan(0.5 * even);
      expect(lights[i + 1] - lights[i]).toBeLessThan(1.5 * even);
    }
  });

  it('ends at a round number that no value exceeds', () => {
    for (const [share, top] of [
      [0, 0.1],
      [0.0004, 0.1],
      [0.011, 2],
      [0.41, 50],
      [0.5, 50],
      [0.999, 100],
      [1, 100],
    ])
      expect(scaleTop(share)).toBe(top);
  });
});
