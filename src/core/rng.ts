// Seeded randomness. Everything random in Ingot draws from a generator that was passed in.

export interface Rng {
  /** Uniform 32-bit unsigned integer. */
  u32(): number;
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
  /** A generator for another purpose, independent of further draws from this one. */
  fork(label: string): Rng;
}

/** 32-bit FNV-1a, to derive seeds from labels. */
function hash(text: string, seed: number): number {
  let h = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return h;
}

/** sfc32 (Doty-Humphrey, PractRand): small, fast, passes PractRand to 32 TB. */
export function createRng(seed: number): Rng {
  const state = Int32Array.of(0x9e3779b9 ^ seed, 0x243f6a88 ^ Math.imul(seed, 0x85ebca6b), 0xb7e15162, 1);
  const u32 = (): number => {
    const a = state[0];
    const b = state[1];
    const c = state[2];
    const counter = state[3];
    const t = (a + b + counter) | 0;
    state[0] = b ^ (b >>> 9);
    state[1] = c + (c << 3);
    state[2] = ((c << 21) | (c >>> 11)) + t;
    state[3] = counter + 1;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i++) u32();
  const uniform = (): number => ((u32() >>> 5) * 67108864 + (u32() >>> 6)) / 9007199254740992;
  return {
    u32,
    uniform,
    // Box-Muller; 1 - u keeps the logarithm finite.
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    fork: (label) => createRng(hash(label, seed)),
  };
}
