/**
 * A wafer answers in tens of microseconds, so the usual buckets would all be one: from 50 µs, then those of Prometheus'
 * default, of OpenTelemetry's generative AI metrics and of vLLM, so that dashboards made for them work.
 */
export const LATENCY_BUCKETS: readonly number[] = [
  5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 7.5e-4, 1e-3, 1.5e-3, 2e-3, 3e-3, 5e-3, 7.5e-3, 0.01, 0.02, 0.025, 0.04, 0.05, 0.06,
  0.075, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 30, 40, 60, 80, 120, 160, 640, 2560,
];

/** Tokens, as vLLM has them: 1, 2 and 5 times powers of ten. */
export const TOKEN_BUCKETS: readonly number[] = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000,
];
