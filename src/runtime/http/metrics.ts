// Metrics for Prometheus: base units, `_total` on counters only, no percentiles. Latencies are
// observed when an answer ends, from its timeline, so that counting costs nothing per token.

import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { seconds, type Seconds } from '../../core/index.ts';
import { e2e, itl, queueTime, ttft } from '../../protocol/index.ts';
import type { EngineCounts } from '../engine.ts';
import type { FinishEvent } from '../engine-request.ts';
import type { ServedModel } from './served-model.ts';

/**
 * A wafer answers in tens of microseconds, so the usual buckets would all be one: from 50 µs, then those of Prometheus'
 * default and of OpenTelemetry's generative AI metrics, so that dashboards made for them work.
 */
const LATENCY_BUCKETS = [
  5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 7.5e-4, 1e-3, 1.5e-3, 2e-3, 3e-3, 5e-3, 7.5e-3, 0.01, 0.02, 0.025, 0.04, 0.05, 0.06,
  0.075, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120,
];

/** Metrics that are read from the engine when somebody asks. */
const counters: Readonly<Record<string, { readonly help: string; readonly of: (counts: EngineCounts) => number }>> = {
  ingot_prompt_tokens_total: { help: 'Prompt tokens processed.', of: (c) => c.promptTokens },
  ingot_prompt_cached_tokens_total: {
    help: 'Prompt tokens processed that the prefix cache had.',
    of: (c) => c.cachedTokens,
  },
  ingot_generated_tokens_total: { help: 'Tokens sampled.', of: (c) => c.generatedTokens },
  ingot_computed_tokens_total: {
    help: 'Tokens that went through the executor, again after preemption and rejected drafts included.',
    of: (c) => c.computedTokens,
  },
  ingot_drafted_tokens_total: { help: 'Tokens that a drafter proposed.', of: (c) => c.draftedTokens },
  ingot_accepted_draft_tokens_total: {
    help: 'Drafted tokens that became part of an answer.',
    of: (c) => c.acceptedTokens,
  },
  ingot_preemptions_total: { help: 'Times a running sequence lost its KV blocks.', of: (c) => c.preemptions },
  ingot_late_steps_total: {
    help: 'Engine steps that went out later than the simulated wafer would have had them.',
    of: (c) => c.pace?.lateSteps ?? 0,
  },
  ingot_late_seconds_total: {
    help: 'What engine steps were later than the simulated wafer by.',
    of: (c) => c.pace?.lateSeconds ?? 0,
  },
  ingot_engine_steps_total: { help: 'Engine steps executed.', of: (c) => c.steps },
  ingot_simulated_wafer_busy_seconds_total: {
    help: 'Simulated wafer time of all engine steps.',
    of: (c) => c.waferSeconds,
  },
  ingot_simulated_wafer_energy_joules_total: {
    help: 'Simulated wafer energy of all engine steps.',
    of: (c) => c.waferJoules,
  },
};

const gauges: typeof counters = {
  ingot_sequences_waiting: { help: 'Sequences in the queue.', of: (c) => c.waiting },
  ingot_sequences_running: { help: 'Sequences that hold KV blocks.', of: (c) => c.running },
  ingot_kv_blocks: { help: 'KV cache blocks.', of: (c) => c.blocks },
  ingot_pace_behind_from_sequences: {
    help: 'Fewest sequences at once with which steps are mostly later than on the simulated wafer; 0 while none are.',
    of: (c) => c.pace?.behindFrom ?? 0,
  },
  ingot_kv_blocks_cached: {
    help: 'KV cache blocks without an owner that the prefix cache keeps.',
    of: (c) => c.blocksCached,
  },
  ingot_kv_blocks_used: { help: 'KV cache blocks with an owner.', of: (c) => c.blocksUsed },
};

export interface ApiMetrics {
  readonly contentType: string;
  text(): Promise<string>;
  responded(route: string, status: number): void;
  finished(model: ServedModel, event: FinishEvent): void;
}

/** @param coalescing longest that a streamed token waits for others */
export function createApiMetrics(models: readonly ServedModel[], coalescing: Seconds = seconds(0)): ApiMetrics {
  const registry = new Registry();
  const registers = [registry];
  const labelNames = ['model'];

  for (const [name, { help, of }] of Object.entries(counters)) {
    registry.registerMetric(
      new Counter({
        name,
        help,
        registers: [],
        labelNames,
        collect() {
          this.reset();
          for (const { id, engine } of models) this.inc({ model: id }, of(engine.counts));
        },
      }),
    );
  }
  for (const [name, { help, of }] of Object.entries(gauges)) {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        labelNames,
        collect() {
          for (const { id, engine } of models) this.set({ model: id }, of(engine.counts));
        },
      }),
    );
  }
  const responses = new Counter({
    name: 'ingot_http_responses_total',
    help: 'HTTP responses by route and status; a stream counts when it begins.',
    registers,
    labelNames: ['route', 'status'],
  });
  const answers = new Counter({
    name: 'ingot_answers_total',
    help: 'Answers that ended by themselves, by finish reason.',
    registers,
    labelNames: ['model', 'reason'],
  });
  new Gauge({
    name: 'ingot_stream_coalesce_seconds',
    help: 'Longest that a streamed token waits to travel with others; 0 where each travels at once.',
    registers,
  }).set(coalescing);
  const latency = (name: string, help: string): Histogram =>
    new Histogram({ name, help, registers, labelNames, buckets: LATENCY_BUCKETS });
  const server = {
    ttft: latency('ingot_time_to_first_token_seconds', 'Request received to first token.'),
    itl: latency('ingot_inter_token_latency_seconds', 'Gap between successive tokens of an answer.'),
    e2e: latency('ingot_answer_duration_seconds', 'Request received to last token.'),
  };
  const queue = latency('ingot_queue_time_seconds', 'Request queued to the first step with it.');
  const wafer = {
    ttft: latency('ingot_simulated_wafer_time_to_first_token_seconds', 'The same on the simulated wafer.'),
    itl: latency('ingot_simulated_wafer_inter_token_latency_seconds', 'The same on the simulated wafer.'),
    e2e: latency('ingot_simulated_wafer_answer_duration_seconds', 'The same on the simulated wafer.'),
  };

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    responded: (route, status) => responses.inc({ route, status }),
    finished({ id }, event) {
      const labels = { model: id };
      answers.inc({ model: id, reason: event.reason });
      queue.observe(labels, queueTime(event.timeline) ?? 0);
      for (const [histograms, timeline] of [[server, event.timeline] as const, [wafer, event.wafer] as const]) {
        if (timeline === undefined) continue;
        histograms.ttft.observe(labels, ttft(timeline) ?? 0);
        histograms.e2e.observe(labels, e2e(timeline) ?? 0);
        for (const gap of itl(timeline)) histograms.itl.observe(labels, gap);
      }
    },
  };
}
