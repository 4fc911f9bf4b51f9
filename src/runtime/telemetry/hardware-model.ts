// What telemetry asks of a simulated machine. Given from outside, as the step model is (`sim` makes it), so that the
// runtime knows nothing of simulators.

/** What a machine did in some seconds of its own clock. */
export interface HardwareWork {
  readonly seconds: number;
  /** Tokens that passed all stages. */
  readonly tokens: number;
  /** Tokens cached behind each of them, summed. */
  readonly cached: number;
  /** Tokens of them whose logits were made. */
  readonly logits: number;
  /** Seconds that each stage was busy. */
  readonly busy: ArrayLike<number>;
}

/** In the mean over the time of some work. */
export interface HardwareState {
  /** Watts of all systems, by cause. */
  readonly power: {
    readonly idle: number;
    readonly elements: number;
    readonly fabric: number;
    readonly offWafer: number;
  };
  /** Watts: the sum of the causes, and what the systems are rated for. */
  readonly total: number;
  readonly rated: number;
  /** °C of the hottest die and of the warmest coolant. */
  readonly hottest: number;
  readonly coolant: number;
  /** The factor, at most 1, by which the clock would have to fall to keep every die within its limit. */
  readonly clockScale: number;
  /** Of each stage: share of time in which it is busy, and of its links' cycles in which they carry a wavelet. */
  readonly stages: readonly { readonly busy: number; readonly linkLoad: number }[];
}

export interface HardwareModel {
  readonly wafers: number;
  /** Where each stage lies, and its layers [fromLayer, toLayer). */
  readonly stages: readonly {
    readonly wafer: number;
    readonly region: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
    readonly fromLayer: number;
    readonly toLayer: number;
  }[];
  state(work: HardwareWork): HardwareState;
  /**
   * A token's way through the stages, alone, with so many cached tokens behind it: how long each has it, and what the
   * first layer there consists of.
   */
  passage(cached: number): readonly {
    readonly seconds: number;
    readonly parts: readonly {
      readonly kind: 'kernel' | 'collective';
      readonly op: string;
      readonly seconds: number;
    }[];
  }[];
}
