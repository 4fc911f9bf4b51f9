// Traces over OTLP/HTTP. The SDK is loaded only when there is somewhere to send them, for it takes a while.

import type { SpanExporter } from '@opentelemetry/sdk-trace';
import { fail } from '../../core/index.ts';
import { spansOf, type RequestRecord, type SpanPlan } from '../../runtime/index.ts';

export interface TraceOptions {
  /** Of a collector: traces go to `/v1/traces` below it, unless it ends so itself. */
  readonly endpoint: string;
  /** Share of requests that are traced where their client does not say; default all. */
  readonly share?: number;
  /** Hears, at the end, of spans that the collector did not take. */
  readonly onLost?: (spans: number, url: string) => void;
}

export interface Traces {
  ended(record: RequestRecord): void;
  /** Send what is left. */
  close(): Promise<void>;
}

const TRACES_PATH = '/v1/traces';

/** For one delivery, retries included: nobody waits longer at the end for a collector that is not there. */
const DELIVERY_MS = 2000;

/** @throws IngotError OTLP_ENDPOINT_INVALID */
export function tracesUrl(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return fail({
      code: 'OTLP_ENDPOINT_INVALID',
      message: 'traces need the address of a collector that takes OTLP over HTTP',
      where: endpoint,
      expected: 'a URL, for example http://127.0.0.1:4318',
    });
  }
  const path = url.pathname.replace(/\/+$/, '');
  url.pathname = path.endsWith(TRACES_PATH) ? path : `${path}${TRACES_PATH}`;
  return url.href;
}

/** A client's own span, as W3C's trace context writes it. */
function parentOf(traceparent: string | undefined) {
  const [, traceId, spanId, flags] =
    /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:-|$)/.exec(traceparent ?? '') ?? [];
  return traceId === undefined
    ? undefined
    : { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

/** @throws IngotError OTLP_ENDPOINT_INVALID */
export async function openTraces({ endpoint, share = 1, onLost }: TraceOptions): Promise<Traces> {
  const url = tracesUrl(endpoint);
  let lost = 0;
  const [{ ROOT_CONTEXT, SpanKind, SpanStatusCode, trace }, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] =
    await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
    ]);
  const otlp = new OTLPTraceExporter({ url, timeoutMillis: DELIVERY_MS });
  const exporter: SpanExporter = {
    export: (spans, done) =>
      otlp.export(spans, (result) => {
        if (result.error !== undefined) lost += spans.length;
        done(result);
      }),
    shutdown: () => otlp.shutdown(),
  };
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'ingot' }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(share) }),
    spanProcessors: [new sdk.BatchSpanProcessor({ exporter })],
  });
  const tracer = provider.getTracer('ingot');

  function write(plan: SpanPlan, received: number, parent: typeof ROOT_CONTEXT): void {
    // Whole seconds and nanoseconds apart, for a double has only some 200 ns left beside the date.
    const at = (after: number): [number, number] => {
      const nanoseconds = Math.round((received % 1) * 1e9 + after * 1e9);
      return [Math.floor(received) + Math.floor(nanoseconds / 1e9), nanoseconds % 1e9];
    };
    const { name, kind, from, to, attributes, error, children } = plan;
    const span = tracer.startSpan(
      name,
      {
        kind: kind === 'server' ? SpanKind.SERVER : SpanKind.INTERNAL,
        startTime: at(from),
        attributes: Object.fromEntries(
          Object.entries(attributes).map(([key, value]) => [key, typeof value === 'object' ? [...value] : value]),
        ),
      },
      parent,
    );
    if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
    if (span.isRecording()) {
      const context = trace.setSpan(parent, span);
      for (const child of children) write(child, received, context);
    }
    span.end(at(Math.max(from, to)));
  }

  return {
    ended(record) {
      // Scrapes and probes are no work, unless somebody follows one.
      if (record.method === 'GET' && record.traceparent === undefined) return;
      const parent = parentOf(record.traceparent);
      const context = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
      write(spansOf(record), record.received, context);
    },
    async close() {
      // It rejects where a delivery failed, which has been counted.
      await provider.shutdown().catch(() => undefined);
      if (lost > 0) onLost?.(lost, url);
    },
  };
}
