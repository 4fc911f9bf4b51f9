// When the output ports that several colors share were taken, to find out afterwards whether two colors ever
// wanted one port in one cycle. Cycles in a row are kept as one run.

export interface PortLog {
  /** A number for a color at a port: `left` with it must be called in order of cycles. */
  watch(port: number): number;
  /** A wavelet of that color left by that port. */
  left(watch: number, cycle: number): void;
  /** A port that two colors used in one cycle, or -1. */
  collision(): number;
}

export function createPortLog(): PortLog {
  const ports: number[] = [];
  const begun: number[] = [];
  const last: number[] = [];
  /** Port, first and last cycle of each run that is over. */
  let runs = new Int32Array(3 * 1024);
  let size = 0;

  function close(watch: number): void {
    if (begun[watch] < 0) return;
    if (size === runs.length) {
      const more = new Int32Array(2 * runs.length);
      more.set(runs);
      runs = more;
    }
    runs[size] = ports[watch];
    runs[size + 1] = begun[watch];
    runs[size + 2] = last[watch];
    size += 3;
  }

  return {
    watch(port) {
      begun.push(-1);
      last.push(-2);
      return ports.push(port) - 1;
    },
    left(watch, cycle) {
      if (cycle !== last[watch] + 1) {
        close(watch);
        begun[watch] = cycle;
      }
      last[watch] = cycle;
    },
    collision() {
      for (let watch = 0; watch < ports.length; watch++) close(watch);
      const order = Uint32Array.from({ length: size / 3 }, (_, i) => 3 * i);
      order.sort((a, b) => runs[a] - runs[b] || runs[a + 1] - runs[b + 1]);
      for (let i = 1; i < order.length; i++) {
        const before = order[i - 1];
        const run = order[i];
        if (runs[before] === runs[run] && runs[run + 1] <= runs[before + 2]) return runs[run];
      }
      return -1;
    },
  };
}
