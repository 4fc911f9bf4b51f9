// One request's hold on what it needs: a version of a model, a place within its tenant's limits. Both are given back when its
// answer ends, and what it took is told.

import type { Clock } from '../../core/index.ts';
import type { Access, Visit, Visitor } from '../access/index.ts';
import type { EventStream } from '../engine-channel.ts';
import type { EngineRequest, TokenEvent } from '../engine-request.ts';
import type { Usage } from '../ledger/index.ts';
import type { Lease, ModelRegistry } from '../registry/index.ts';
import type { RequestTrack, SentToModel } from '../telemetry/index.ts';
import type { PreparedModel } from './served-model.ts';

/** Who is accounted where nobody needs a key. */
const ANYBODY = { tenant: 'anybody', key: '' } as const;

export interface ServedRequest {
  /** @throws ApiError 401, 403 */
  identify(): void;
  /** It counts as a request of its tenant. @throws ApiError 429 */
  begin(): void;
  /** By id, whether a model is there for who asks. */
  readonly sees: (id: string) => boolean;
  /** @throws ApiError 404 */
  readonly findModel: (name: string) => PreparedModel;
  /** @throws ApiError 429; of Engine.submit */
  readonly submit: (model: PreparedModel, asked: SentToModel) => EventStream<TokenEvent>;
  /** Who asks; undefined where there are no tenants. */
  tenant(): string | undefined;
  /** Those of the tenant; undefined where there are no tenants. */
  limitHeaders(): Readonly<Record<string, string>> | undefined;
  /** May be called again. */
  end(): void;
}

export interface BegunRequest {
  readonly registry: ModelRegistry;
  readonly request: { readonly headers?: Readonly<Record<string, string>>; readonly signal: AbortSignal };
  /** Names the request in the ledger. */
  readonly requestId: string;
  readonly track: RequestTrack;
  readonly options: {
    readonly clock: Clock;
    readonly access?: Access;
    readonly onUsage?: (usage: Usage) => void;
  };
}

export function beginRequest({ registry, request, requestId, track, options }: BegunRequest): ServedRequest {
  const { clock, access, onUsage } = options;
  const leases: Lease[] = [];
  let visitor: Visitor | undefined;
  let visit: Visit | undefined;

  const end = (): void => {
    visit?.end();
    for (const lease of leases) lease.release();
  };

  const sees = (id: string): boolean => visitor?.mayUse(id) ?? true;

  return {
    sees,
    identify() {
      visitor = access?.identify(request.headers?.['authorization']);
    },
    begin() {
      visit = visitor?.begin();
    },
    findModel(name) {
      const lease = registry.acquire(name, sees);
      leases.push(lease);
      return lease.model;
    },
    submit(model, asked) {
      const given = asked.request;
      const { prompts, choices = 1, maxTokens = 0 } = given;
      const promptTokens = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
      visit?.reserve(promptTokens, prompts.length * choices * maxTokens);
      const version = leases.find((lease) => lease.model === model)?.version ?? 0;
      const { tenant, key } = visitor ?? ANYBODY;
      const sent: EngineRequest = {
        ...given,
        // With a cache in common, what is found there would tell a tenant what others asked.
        ...(visitor === undefined ? {} : { tenant, weight: visitor.weight, cacheSalt: tenant }),
        // A tenant's level and a request's tier add up.
        priority: (given.priority ?? 0) + (visitor?.priority ?? 0),
        onEnd(account) {
          track.accounted(account);
          const { outcome, promptTokens: prompt, cachedTokens, generatedTokens } = account;
          visit?.settle(prompt + generatedTokens);
          onUsage?.({
            time: clock.now(),
            tenant,
            key,
            model: model.id,
            version,
            request: requestId,
            outcome,
            prompt_tokens: prompt,
            cached_tokens: cachedTokens,
            completion_tokens: generatedTokens,
            wafer_seconds: account.waferSeconds,
            wafer_joules: account.waferJoules,
          });
        },
      };
      track.asked(model, { ...asked, request: sent });
      return model.engine.submit(sent, request.signal);
    },
    tenant: () => visitor?.tenant,
    limitHeaders: () => visitor?.limitHeaders(),
    end,
  };
}
