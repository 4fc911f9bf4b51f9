// Metrics for Prometheus: base units, `_total` on counters only, no percentiles. Latencies are
// observed when a request ends, from its timelines, so that counting costs nothing per token.

import { Counter, Gauge, Registry } from 'prom-client';
import { seconds, type Seconds } from '../../core/index.ts';
import { e2e, queueTime, tpot, ttft, type Timeline } from '../../protocol/index.ts';
import type { StepRecord } from '../step-model.ts';
import { boundedLabel } from './bounded-label.ts';
import { LATENCY_BUCKETS } from './buckets.ts';
import { registerEngineSeries, type EngineSeries, type MeasuredModel } from './engine-series.ts';
import { registerHistogram, type FastHistogram } from './fast-histogram.ts';
import { gapTally } from './gap-tally.ts';
import type { RequestRecord } from './request-record.ts';

/** Tenants that have series of their own; the rest is one more. */
export const MAX_TENANT_LABELS = 100;

const counters: EngineSeries = {
  ingot_prompt_tokens_total: ['Prompt tokens processed.', (c) => c.promptTokens],
  ingot_prompt_cached_tokens_total: ['Prompt tokens processed that the prefix cache had.', (c) => c.cachedTokens],
  ingot_generated_tokens_total: ['Tokens sampled.', (c) => c.generatedTokens],
  ingot_computed_tokens_total: [
    'Tokens that went through the executor, again after preemption and rejected drafts included.',
    (c) => c.computedTokens,
  ],
  ingot_drafted_tokens_total: ['Tokens that a drafter proposed.', (c) => c.draftedTokens],
  ingot_accepted_draft_tokens_total: ['Drafted tokens that became part of an answer.', (c) => c.acceptedTokens],
  ingot_preemptions_total: ['Times a running sequence lost its KV blocks.', (c) => c.preemptions],
  ingot_late_steps_total: [
    'Engine steps that went out later than the simulated wafer would have had them.',
    (c) => c.pace?.lateSteps ?? 0,
  ],
  ingot_late_seconds_total: [
    'What engine steps were later than the simulated wafer by.',
    (c) => c.pace?.lateSeconds ?? 0,
  ],
  ingot_engine_steps_total: ['Engine steps executed.', (c) => c.steps],
  ingot_simulated_wafer_busy_seconds_total: ['Simulated wafer time of all engine steps.', (c) => c.waferSeconds],
  ingot_simulated_wafer_energy_joules_total: [
    'Simulated wafer energy of all engine steps, at the rated power of the systems.',
    (c) => c.waferJoules,
  ],
};

const gauges: EngineSeries = {
  ingot_sequences_waiting: ['Sequences in the queue.', (c) => c.waiting],
  ingot_sequences_running: ['Sequences that hold KV blocks.', (c) => c.running],
  ingot_kv_blocks: ['KV cache blocks.', (c) => c.blocks],
  ingot_pace_behind_from_sequences: [
    'Fewest sequences at once with which steps are mostly later than on the simulated wafer; 0 while none are.',
    (c) => c.pace?.behindFrom ?? 0,
  ],
  ingot_kv_blocks_cached: ['KV cache blocks without an owner that the prefix cache keeps.', (c) => c.blocksCached],
  ingot_kv_blocks_used: ['KV cache blocks with an owner.', (c) => c.blocksUsed],
};

export interface Exposition {
  readonly contentType: string;
  /** @param tenant whose own series are shown; of all tenants where absent */
  text(tenant?: string): Promise<string>;
  /** A step of a model's engine. */
  stepped(model: string, step: StepRecord): void;
  /** A request that is over. */
  ended(record: RequestRecord): void;
}

export interface ApiMetrics extends Exposition {
  /** The head of a response goes out. */
  responded(route: string, status: number): void;
  /** For more metrics in the same text. */
  readonly registry: Registry;
}

/** @param coalescing longest that a streamed token waits for others */
export function createApiMetrics(models: () => readonly MeasuredModel[], coalescing: Seconds = seconds(0)): ApiMetrics {
  const registry = new Registry();
  const registers = [registry];
  /** Apart, because not everybody sees all of them. */
  const tenantRegistry = new Registry();
  registerEngineSeries(registry, models, { counters, gauges }, ['model'], (id) => ({ model: id }));
  const counter = <Label extends string>(
    name: string,
    help: string,
    labels: readonly Label[],
    into = registers,
  ): Counter<Label> => new Counter({ name, help, registers: into, labelNames: labels });
  const responses = counter(
    'ingot_http_responses_total',
    'HTTP responses by route and status; a stream counts when it begins.',
    ['route', 'status'],
  );
  const answers = counter('ingot_answers_total', 'Answers that ended by themselves, by finish reason.', [
    'model',
    'reason',
  ]);
  const requests = counter('ingot_requests_total', 'Requests to a model that are over, by outcome.', [
    'model',
    'outcome',
  ]);
  const promised = counter(
    'ingot_slo_answers_total',
    'Answers that were promised a latency, by target (ttft, tpot) and whether it was kept.',
    ['model', 'target', 'kept'],
  );
  const tenants = boundedLabel(MAX_TENANT_LABELS);
  const ofTenant = (name: string, help: string): Counter<'model' | 'tenant'> =>
    counter(name, `${help}, by tenant.`, ['model', 'tenant'], [tenantRegistry]);
  const byTenant = {
    requests: ofTenant('ingot_tenant_requests_total', 'Requests to a model that are over'),
    prompt: ofTenant('ingot_tenant_prompt_tokens_total', 'Prompt tokens processed'),
    generated: ofTenant('ingot_tenant_generated_tokens_total', 'Tokens generated'),
  };
  registry.registerMetric(
    new Gauge({
      name: 'ingot_stream_coalesce_seconds',
      help: 'Longest that a streamed token waits to travel with others; 0 where each travels at once.',
      registers: [],
      collect() {
        this.set(coalescing);
      },
    }),
  );

  const latency = (name: string, help: string): FastHistogram<'model'> =>
    registerHistogram(registry, { name, help, key: 'model', buckets: LATENCY_BUCKETS });
  const same = 'The same on the simulated wafer.';
  const server = {
    ttft: latency('ingot_time_to_first_token_seconds', 'Request received to first token.'),
    itl: latency('ingot_inter_token_latency_seconds', 'Gap between successive tokens of an answer.'),
    tpot: latency('ingot_time_per_output_token_seconds', "Mean gap between an answer's tokens, one per answer."),
    e2e: latency('ingot_answer_duration_seconds', 'Request received to last token.'),
    queue: latency('ingot_queue_time_seconds', 'Request queued to the first step with it.'),
    step: latency('ingot_step_duration_seconds', 'An engine step in the executor.'),
  };
  const wafer: typeof server = {
    ttft: latency('ingot_simulated_wafer_time_to_first_token_seconds', same),
    itl: latency('ingot_simulated_wafer_inter_token_latency_seconds', same),
    tpot: latency('ingot_simulated_wafer_time_per_output_token_seconds', same),
    e2e: latency('ingot_simulated_wafer_answer_duration_seconds', same),
    queue: latency('ingot_simulated_wafer_queue_time_seconds', same),
    step: latency('ingot_simulated_wafer_step_duration_seconds', same),
  };
  const observe = (histograms: typeof server, labels: { model: string }, timeline: Timeline): void => {
    for (const [name, of] of Object.entries({ ttft, e2e, tpot, queue: queueTime })) {
      const value = of(timeline);
      if (value !== undefined) histograms[name as keyof typeof histograms].observe(labels, value);
    }
    histograms.itl.add(labels, gapTally(timeline));
  };

  return {
    registry,
    contentType: registry.contentType,
    text: async (tenant) => `${await registry.metrics()}\n${seenBy(await tenantRegistry.metrics(), tenant)}`,
    responded: (route, status) => responses.inc({ route, status }),
    stepped(model, { server: { from, to }, wafer: simulated }) {
      server.step.observe({ model }, to - from);
      if (simulated.to > simulated.from) wafer.step.observe({ model }, simulated.to - simulated.from);
    },
    ended({ asked, outcome, answers: ends, account }) {
      if (asked === undefined) return;
      const { model } = asked;
      const labels = { model };
      requests.inc({ model, outcome });
      const { targets } = asked.request;
      for (const { reason, timeline, wafer: simulated } of ends) {
        answers.inc({ model, reason });
        for (const [target, value] of Object.entries({ ttft: ttft(timeline), tpot: tpot(timeline) })) {
          const most = targets?.[target as 'ttft' | 'tpot'];
          if (value !== undefined && most !== undefined) promised.inc({ model, target, kept: String(value <= most) });
        }
        observe(server, labels, timeline);
        if (simulated !== undefined) observe(wafer, labels, simulated);
      }
      if (asked.request.tenant === undefined) return;
      const of = { model, tenant: tenants(asked.request.tenant) };
      byTenant.requests.inc(of);
      byTenant.prompt.inc(of, account?.promptTokens ?? 0);
      byTenant.generated.inc(of, account?.generatedTokens ?? 0);
    },
  };
}

/** Lines of one tenant's series, with what explains them; all of them where nobody in particular looks. */
function seenBy(text: string, tenant: string | undefined): string {
  if (tenant === undefined) return text;
  const own = `tenant="${tenant}"`;
  const isSeen = (line: string): boolean => line.startsWith('#') || line === '' || line.includes(own);
  return text.split('\n').filter(isSeen).join('\n');
}

/** Without the series of models that are not there for who looks. */
export const ofModels = (text: string, sees: (model: string) => boolean): string =>
  text
    .split('\n')
    .filter((line) => {
      const label = /[{,]model(?:_name)?=("(?:[^"\\]|\\.)*")/.exec(line)?.[1];
      return label === undefined || sees(JSON.parse(label) as string);
    })
    .join('\n');
