// The same counts under vLLM's names, for dashboards, autoscalers and gateways that know these. The colon in the names is
// not what Prometheus recommends, and percentages are ratios; so they have an endpoint of their own. Times are those of this machine.

import { Counter, Gauge, Registry } from 'prom-client';
import { e2e, queueTime, tpot, ttft, type Timeline } from '../../protocol/index.ts';
import type { EngineCounts } from '../engine.ts';
import type { FinishEvent } from '../engine-request.ts';
import { LATENCY_BUCKETS, TOKEN_BUCKETS } from './buckets.ts';
import { registerEngineSeries, type EngineSeries, type MeasuredModel } from './engine-series.ts';
import { registerHistogram, type FastHistogram } from './fast-histogram.ts';
import { gapTally } from './gap-tally.ts';
import type { Exposition } from './metrics.ts';

const kvUsage = (c: EngineCounts): number => c.blocksUsed / Math.max(1, c.blocks);

const gauges: EngineSeries = {
  'vllm:num_requests_running': ['Sequences that hold KV blocks.', (c) => c.running],
  'vllm:num_requests_waiting': ['Sequences in the queue.', (c) => c.waiting],
  'vllm:kv_cache_usage_perc': ['Share of KV blocks with an owner, 1 is all.', kvUsage],
  'vllm:gpu_cache_usage_perc': ['Older name of vllm:kv_cache_usage_perc.', kvUsage],
};

/** What vLLM's own library ends in `_total` on the wire is here under both names where its documents leave it out. */
const counters: EngineSeries = {
  'vllm:prompt_tokens_total': ['Prompt tokens processed.', (c) => c.promptTokens],
  'vllm:generation_tokens_total': ['Tokens sampled.', (c) => c.generatedTokens],
  'vllm:num_preemptions_total': ['Times a running sequence lost its KV blocks.', (c) => c.preemptions],
  'vllm:prefix_cache_queries': ['Prompt tokens looked up in the prefix cache.', (c) => c.promptTokens],
  'vllm:prefix_cache_queries_total': ['Prompt tokens looked up in the prefix cache.', (c) => c.promptTokens],
  'vllm:prefix_cache_hits': ['Prompt tokens found in the prefix cache.', (c) => c.cachedTokens],
  'vllm:prefix_cache_hits_total': ['Prompt tokens found in the prefix cache.', (c) => c.cachedTokens],
  'vllm:spec_decode_num_draft_tokens_total': ['Tokens that a drafter proposed.', (c) => c.draftedTokens],
  'vllm:spec_decode_num_accepted_tokens_total': [
    'Drafted tokens that became part of an answer.',
    (c) => c.acceptedTokens,
  ],
};

/** From the first step to the last token, and both parts of it around the first token. */
const spans: Readonly<Record<string, (timeline: Timeline) => number | undefined>> = {
  inference: ({ started, tokens }) => (tokens.length === 0 ? undefined : tokens[tokens.length - 1] - (started ?? NaN)),
  prefill: ({ started, tokens }) => (tokens.length === 0 ? undefined : tokens[0] - (started ?? NaN)),
  decode: ({ tokens }) => (tokens.length === 0 ? undefined : tokens[tokens.length - 1] - tokens[0]),
};

const latencies: Readonly<Record<string, readonly [help: string, of: (timeline: Timeline) => number | undefined]>> = {
  'vllm:time_to_first_token_seconds': ['Request received to first token.', ttft],
  'vllm:e2e_request_latency_seconds': ['Request received to last token.', e2e],
  'vllm:request_time_per_output_token_seconds': ["Mean gap between an answer's tokens, one per answer.", tpot],
  'vllm:request_queue_time_seconds': ['Request queued to the first step with it.', queueTime],
  'vllm:request_inference_time_seconds': ['First step to last token.', spans['inference']],
  'vllm:request_prefill_time_seconds': ['First step to first token.', spans['prefill']],
  'vllm:request_decode_time_seconds': ['First token to last token.', spans['decode']],
};

/** Gaps between tokens, under the name of today and the older one. */
const gaps = ['vllm:inter_token_latency_seconds', 'vllm:time_per_output_token_seconds'];

export function createVllmMetrics(models: () => readonly MeasuredModel[]): Exposition {
  const registry = new Registry();
  const registers = [registry];
  const labelNames = ['model_name', 'engine'] as const;
  /** vLLM numbers the engines of a model; here each has one. */
  const labelsOf = (id: string): { model_name: string; engine: string } => ({ model_name: id, engine: '0' });

  registerEngineSeries(registry, models, { counters, gauges }, labelNames, labelsOf);
  registry.registerMetric(
    new Gauge({
      name: 'vllm:cache_config_info',
      help: 'Tokens of a KV block, and KV blocks.',
      registers: [],
      labelNames: [...labelNames, 'block_size', 'num_gpu_blocks'],
      collect() {
        this.reset();
        for (const { id, engine } of models()) {
          const { blocks } = engine.counts;
          const size = engine.limits.cachedTokens / Math.max(1, blocks);
          this.set({ ...labelsOf(id), block_size: String(size), num_gpu_blocks: String(blocks) }, 1);
        }
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'vllm:lora_requests_info',
      help: 'Adapters; there are none.',
      registers: [],
      labelNames: ['max_lora', 'running_lora_adapters', 'waiting_lora_adapters'],
      collect() {
        this.set({ max_lora: '0', running_lora_adapters: '', waiting_lora_adapters: '' }, 1);
      },
    }),
  );

  const success = new Counter({
    name: 'vllm:request_success_total',
    help: 'Answers that ended by themselves, by finish reason.',
    registers,
    labelNames: [...labelNames, 'finished_reason'],
  });
  const histogram = (name: string, help: string, buckets: readonly number[]): FastHistogram<'model_name' | 'engine'> =>
    registerHistogram<'model_name' | 'engine'>(registry, { name, help, key: 'model_name', buckets });
  const byTimeline = Object.entries(latencies).map(
    ([name, [help, of]]) => [histogram(name, help, LATENCY_BUCKETS), of] as const,
  );
  const byGap = gaps.map((name) => histogram(name, 'Gap between successive tokens of an answer.', LATENCY_BUCKETS));
  const promptTokens = histogram('vllm:request_prompt_tokens', 'Prompt tokens of a request.', TOKEN_BUCKETS);
  const generationTokens = histogram('vllm:request_generation_tokens', 'Tokens of an answer.', TOKEN_BUCKETS);
  const longest = histogram(
    'vllm:request_max_num_generation_tokens',
    'Tokens of the longest answer of a request.',
    TOKEN_BUCKETS,
  );
  const paramsN = histogram('vllm:request_params_n', 'Answers asked for.', TOKEN_BUCKETS);
  const paramsMaxTokens = histogram(
    'vllm:request_params_max_tokens',
    'Most tokens asked for, where a request says.',
    TOKEN_BUCKETS,
  );
  const stepTokens = histogram('vllm:iteration_tokens_total', 'Tokens processed in an engine step.', TOKEN_BUCKETS);

  const answered = (
    labels: { model_name: string; engine: string },
    { reason, timeline, generated }: FinishEvent,
  ): void => {
    success.inc({ ...labels, finished_reason: reason });
    generationTokens.observe(labels, generated);
    for (const [of, read] of byTimeline) {
      const value = read(timeline);
      if (value !== undefined) of.observe(labels, value);
    }
    for (const of of byGap) of.add(labels, gapTally(timeline));
  };

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    stepped(model, { work }) {
      stepTokens.observe(labelsOf(model), work.tokens);
    },
    ended({ asked, answers }) {
      if (asked === undefined) return;
      const labels = labelsOf(asked.model);
      const { choices = 1, maxTokens } = asked.request;
      for (const answer of answers) answered(labels, answer);
      promptTokens.observe(labels, asked.promptTokens);
      paramsN.observe(labels, choices);
      if (maxTokens !== undefined) paramsMaxTokens.observe(labels, maxTokens);
      if (answers.length > 0) longest.observe(labels, Math.max(...answers.map(({ generated }) => generated)));
    },
  };
}
