// What operators may send. Unknown fields are refused, as everywhere.

import { Type } from 'typebox';

import { createBodyParser } from '../../protocol/index.ts';

const whole = (least: number, description: string) =>
  Type.Integer({ minimum: least, maximum: Number.MAX_SAFE_INTEGER, description });
const name = (description: string) => Type.String({ minLength: 1, maxLength: 200, description });
/** Identifiers of tenants stand in logs and metrics. */
const TENANT_ID = '^[\\w.:@-]{1,64}$';

/** Which model: a checkpoint's path, or what is emulated. */
const choice = {
  model: Type.Optional(name("a checkpoint's path on the server")),
  emulate: Type.Optional(name('a model by name, or a checkpoint whose weights are left alone')),
  tokenizer: Type.Optional(name("a checkpoint's path, for the tokenizer of an emulated model")),
};

const spec = { ignored: [], restricted: {} };

export const parseLoad = createBodyParser({
  ...spec,
  fields: { ...choice, id: Type.Optional(name('a name to be served by')) },
});

const keepWarm = {
  keep_warm_seconds: Type.Optional(
    Type.Number({ minimum: 0, maximum: 86_400, description: 'seconds from 0 to 86,400' }),
  ),
};
export const parseSwap = createBodyParser({ ...spec, fields: { ...choice, ...keepWarm } });
export const parseRollback = createBodyParser({ ...spec, fields: keepWarm });
export const parseAlias = createBodyParser({ ...spec, fields: { model: name('the id of a served model') } });

export const parseTenant = createBodyParser({
  ...spec,
  fields: {
    id: Type.String({ pattern: TENANT_ID, description: '1 to 64 letters, digits and ._:@-' }),
    limits: Type.Optional(
      Type.Object(
        {
          requests_per_minute: Type.Optional(whole(1, 'requests')),
          tokens_per_minute: Type.Optional(whole(1, 'tokens')),
          concurrent_requests: Type.Optional(whole(1, 'requests')),
        },
        {
          additionalProperties: false,
          description: 'whole numbers above 0 for requests_per_minute, tokens_per_minute, concurrent_requests',
        },
      ),
    ),
    models: Type.Optional(Type.Array(name(''), { maxItems: 1000, description: 'a list of model ids' })),
    priority: Type.Optional(
      Type.Integer({ minimum: -100, maximum: 100, description: 'a whole number from -100 to 100' }),
    ),
    weight: Type.Optional(Type.Number({ minimum: 0.01, maximum: 1000, description: 'a number from 0.01 to 1,000' })),
    suspended: Type.Optional(Type.Boolean({ description: 'true or false' })),
  },
});

export const parseKey = createBodyParser({
  ...spec,
  fields: {
    tenant: Type.String({ pattern: TENANT_ID, description: 'the id of a tenant' }),
    name: Type.Optional(Type.String({ maxLength: 200, description: 'at most 200 characters' })),
    expires_in_days: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, maximum: 36_500, description: 'days above 0, at most 36,500' }),
    ),
  },
});
