// GET /v1/telemetry/hardware and /v1/telemetry/requests/{id}: windows of the simulated machine, by time and by request.

import { seconds, type Seconds } from '../../core/index.ts';
import { ApiError, badValue, shownName } from '../../protocol/index.ts';
import type { Monitored } from './hardware-metrics.ts';
import { MAX_WINDOWS, WINDOW_SECONDS, type HardwareMonitor, type HardwareWindow } from './hardware-monitor.ts';
import type { RequestRecord } from './request-record.ts';

/** Requests that can be asked for: the last so many that came to a model. */
export const MAX_REQUESTS = 1000;

/** What is kept of a request: not its tokens. */
interface KeptRequest {
  readonly id: string;
  readonly model: string;
  readonly basis?: string;
  /** Of the version that answered it, which itself may be closed: its engine would hold its weights. */
  readonly monitor: HardwareMonitor;
  readonly tenant?: string;
  readonly outcome: RequestRecord['outcome'];
  readonly received: Seconds;
  readonly ended: Seconds;
  readonly promptTokens: number;
  readonly generated: number;
  readonly wafer: { readonly from: Seconds; readonly to: Seconds };
}

export interface HardwareHistory {
  ended(record: RequestRecord, monitor: HardwareMonitor): void;
  /** @param sees by id, whether a model is there for who asks @throws ApiError 400, 404 */
  byTime(query: string, sees: (id: string) => boolean): object;
  /**
   * @param tenant who asks: others' requests are not there for them; undefined where there are no tenants
   * @throws ApiError 404
   */
  byRequest(id: string, tenant: string | undefined): object;
}

export function createHardwareHistory(monitored: () => readonly Monitored[]): HardwareHistory {
  /** In the order in which they ended, which is the order of forgetting. */
  const requests = new Map<string, KeptRequest>();

  function find(id: string | null, sees: (id: string) => boolean): Monitored {
    const all = monitored().filter(({ model }) => sees(model.id));
    const found = id === null && all.length === 1 ? all[0] : all.find(({ model }) => model.id === id);
    if (found !== undefined) return found;
    const names = all.map(({ model }) => `'${model.id}'`).join(', ');
    if (id === null && all.length > 1) throw badValue('model', `one of ${names}`, 'nothing');
    throw new ApiError({
      status: 404,
      code: 'hardware_not_simulated',
      param: 'model',
      message:
        id === null
          ? 'No model of this server has a simulated machine.'
          : `No simulated machine runs a model '${shownName(id)}'.`,
      suggestion: names === '' ? 'Serve a model with a program.' : `There are ${names}.`,
    });
  }

  const listing = (
    { model, basis, monitor }: Pick<KeptRequest, 'model' | 'basis' | 'monitor'>,
    from: Seconds,
    to: Seconds,
  ): object => ({
    simulated: true,
    model,
    basis,
    clock: { now: monitor.now, oldest: monitor.oldest, window: WINDOW_SECONDS },
    wafers: monitor.model.wafers,
    stages: monitor.model.stages.map(({ wafer, region, fromLayer, toLayer }) => ({
      wafer,
      region,
      from_layer: fromLayer,
      to_layer: toLayer,
    })),
    data: monitor.windows(from, to).map(shown),
  });

  return {
    ended({ id, outcome, received, ended, asked, account, wafer }, monitor) {
      if (asked === undefined || wafer === undefined) return;
      const { model, basis, promptTokens, request } = asked;
      // A name that a client gives twice is its later request's; tenants may give the same.
      const key = keyOf(id, request.tenant);
      requests.delete(key);
      const tenant = request.tenant === undefined ? {} : { tenant: request.tenant };
      requests.set(key, {
        id,
        model,
        ...(basis === undefined ? {} : { basis }),
        monitor,
        ...tenant,
        outcome,
        received,
        ended,
        promptTokens,
        generated: account?.generatedTokens ?? 0,
        wafer,
      });
      for (const oldest of requests.keys()) {
        if (requests.size <= MAX_REQUESTS) break;
        requests.delete(oldest);
      }
    },
    byTime(query, sees) {
      const params = new URLSearchParams(query);
      for (const name of params.keys())
        if (!['from', 'to', 'model'].includes(name)) {
          throw new ApiError({
            status: 400,
            code: 'unknown_parameter',
            param: shownName(name),
            message: `Unknown parameter: '${shownName(name)}'.`,
            suggestion: 'Use from, to and model.',
          });
        }
      const { model, monitor } = find(params.get('model'), sees);
      const time = (name: string, otherwise: number): Seconds => {
        const given = params.get(name);
        const value = given === null ? otherwise : given === '' ? NaN : Number(given);
        if (!(value >= 0)) throw badValue(name, "seconds on the wafer's clock, at least 0", given);
        return seconds(value);
      };
      const from = time('from', monitor.oldest);
      const to = time('to', monitor.now);
      if (to < from) throw badValue('to', `at least 'from', ${from}`, to);
      return {
        object: 'telemetry.hardware',
        ...listing({ model: model.id, basis: model.engine.waferBasis, monitor }, from, to),
      };
    },
    byRequest(id, asking) {
      const request = requests.get(keyOf(id, asking));
      if (request === undefined) {
        throw new ApiError({
          status: 404,
          code: 'request_not_found',
          param: 'id',
          message: `No request '${shownName(id)}' is known.`,
          suggestion: `The last ${MAX_REQUESTS} that a model answered are kept, by x-request-id.`,
        });
      }
      const { monitor, tenant, outcome, received, ended, promptTokens, generated, wafer } = request;
      return {
        object: 'telemetry.request',
        id,
        ...(tenant === undefined ? {} : { tenant }),
        outcome,
        received,
        ended,
        usage: { prompt_tokens: promptTokens, completion_tokens: generated },
        wafer,
        // Windows are kept for a while of the wafer's work only.
        is_whole: wafer.from >= monitor.oldest && wafer.to - wafer.from < MAX_WINDOWS * WINDOW_SECONDS,
        hardware: listing(request, wafer.from, wafer.to),
      };
    },
  };
}

const keyOf = (id: string, tenant = ''): string => JSON.stringify([tenant, id]);

const shown = ({ from, to, isComplete, server, tokens, state }: HardwareWindow): object => ({
  from,
  to,
  is_complete: isComplete,
  server,
  tokens,
  watts: {
    idle: state.power.idle,
    elements: state.power.elements,
    fabric: state.power.fabric,
    off_wafer: state.power.offWafer,
    total: state.total,
    rated: state.rated,
  },
  celsius: { hottest_die: state.hottest, coolant: state.coolant },
  clock_scale: state.clockScale,
  busy: state.stages.map(({ busy }) => busy),
  link_load: state.stages.map(({ linkLoad }) => linkLoad),
});
