// The functions of the compiled kernels that TypeScript calls. Addresses are byte offsets in the shared memory.

export interface Kernels {
  /** Wait for the pass after `seen` and run it; its number, or -1 when told to stop. */
  serve(thread: number, seen: number): number;
  /** Runs of the elements [from, to) of a vector cut into `parts` tiles; the address after the last. */
  makeRuns(from: number, to: number, tile: number, parts: number, group: number, out: number): number;
  /** Stored elements to `format`, rounded where it is narrower; how many are not finite. */
  convert(out: number, format: number, input: number, stored: number, count: number): number;
  packBlock(out: number, format: number, input: number, rows: number, k: number, order: number): void;
  packBlockInt8(out: number, scales: number, input: number, rows: number, k: number): void;
  /** Rows whose weights are beyond the format. */
  packBlockFp8(out: number, scales: number, input: number, rows: number, k: number, order: number): number;
  packBlockInt4(
    out: number,
    scales: number,
    input: number,
    rows: number,
    k: number,
    order: number,
    group: number,
  ): void;
  expOf(x: number): number;
  siluOf(x: number): number;
  geluTanhOf(x: number): number;
  tanhOf(x: number): number;
  clampedSiluOf(gate: number, up: number): number;
  bf16Of(x: number): number;
  f16Of(x: number): number;
  e4m3Of(x: number): number;
}

/** A 64 KiB page, the unit of WebAssembly memory. */
export const pageBytes = 65_536;
/** Addresses are 32 bits wide. */
export const memoryLimitBytes = 65_536 * pageBytes;

/** Kernels on a memory. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels;
}
