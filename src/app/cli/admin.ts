import { resolve } from 'node:path';
import process from 'node:process';

import { Argument, Option } from 'commander';

import { didYouMean } from '../../core/index.ts';
import {
  USAGE_GRAIN_SECONDS,
  type ApiKey,
  type AuditEntry,
  type ModelStatus,
  type Tenant,
  type UsageTotal,
} from '../../runtime/index.ts';
import { ADMIN_KEY_VARIABLE, createAdminClient, DEFAULT_ADMIN_URL, type AdminRequest } from '../admin-client.ts';
import {
  addExamples,
  jsonOption,
  numberOption,
  printJson,
  UsageError,
  wholeOption,
  type CliCommand,
} from './command.ts';
import { auditText, keysText, modelsText, tenantsText, usageText } from './report/admin-text.ts';
import { LINE_WIDTH } from './io.ts';

/** Those that only some actions take. */
interface ActionOptions {
  readonly model?: string;
  readonly emulate?: string;
  readonly name?: string;
  readonly keepWarm?: number;
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  readonly concurrent?: number;
  readonly allow?: string;
  readonly priority?: number;
  readonly weight?: number;
  readonly suspend?: boolean;
  readonly expiresDays?: number;
  readonly tenant?: string;
  readonly hours?: number;
  readonly limit?: number;
}

interface AdminOptions extends ActionOptions {
  readonly adminUrl: string;
  readonly adminKeyFile?: string;
  readonly json?: boolean;
}

interface Action {
  /** What stands behind it on the command line. */
  readonly args: readonly string[];
  readonly does: string;
  /** Options that it takes. */
  readonly takes?: readonly (keyof ActionOptions)[];
  /** Of these it needs one. */
  readonly needs?: readonly (keyof ActionOptions)[];
  /** It may take as long as a model takes to load. */
  readonly isSlow?: true;
  readonly request: (args: readonly string[], options: AdminOptions, now: number) => AdminRequest;
  readonly text: (answer: never) => string;
}

const one =
  <T>(text: (list: readonly T[]) => string) =>
  (answer: T): string =>
    text([answer]);
const all =
  <T>(text: (list: readonly T[]) => string) =>
  ({ data }: { readonly data: readonly T[] }): string =>
    text(data);
const part = encodeURIComponent;
const present = (members: object): object =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));

/** Paths are the server's; of one on this machine, they are those of whoever types. */
function choiceOf({ model, emulate, adminUrl }: AdminOptions): object {
  const isHere = /^\w+:\/\/(127\.|localhost|\[::1\])/.test(adminUrl);
  return present({ model: model !== undefined && isHere ? resolve(model) : model, emulate });
}

const actions: Readonly<Record<string, Action>> = {
  models: {
    args: [],
    does: 'list models, their versions and aliases',
    request: () => ({ method: 'GET', path: '/admin/models' }),
    text: all<ModelStatus>(modelsText),
  },
  load: {
    args: [],
    does: 'serve another model',
    takes: ['model', 'emulate', 'name'],
    needs: ['model', 'emulate'],
    isSlow: true,
    request: (_, options) => ({
      method: 'POST',
      path: '/admin/models',
      body: present({ ...choiceOf(options), id: options.name }),
    }),
    text: one<ModelStatus>(modelsText),
  },
  swap: {
    args: ['model'],
    does: 'open another version beside it, warm it up, switch',
    takes: ['model', 'emulate', 'keepWarm'],
    needs: ['model', 'emulate'],
    isSlow: true,
    request: ([id], options) => ({
      method: 'POST',
      path: `/admin/models/${part(id)}/swap`,
      body: present({ ...choiceOf(options), keep_warm_seconds: options.keepWarm }),
    }),
    text: one<ModelStatus>(modelsText),
  },
  rollback: {
    args: ['model'],
    does: 'switch back to the warm version, at once',
    takes: ['keepWarm'],
    request: ([id], { keepWarm }) => ({
      method: 'POST',
      path: `/admin/models/${part(id)}/rollback`,
      body: present({ keep_warm_seconds: keepWarm }),
    }),
    text: one<ModelStatus>(modelsText),
  },
  unload: {
    args: ['model'],
    does: 'take no more requests; it is closed after its last',
    request: ([id]) => ({ method: 'DELETE', path: `/admin/models/${part(id)}` }),
    text: ({ id }: { readonly id: string }) => `${id} takes no more requests.\n`,
  },
  alias: {
    args: ['alias', 'model'],
    does: 'another name for a model',
    request: ([alias, model]) => ({ method: 'PUT', path: `/admin/aliases/${part(alias)}`, body: { model } }),
    text: ({ alias, model }: { readonly alias: string; readonly model: string }) => `${alias} stands for ${model}.\n`,
  },
  unalias: {
    args: ['alias'],
    does: 'take that name away',
    request: ([alias]) => ({ method: 'DELETE', path: `/admin/aliases/${part(alias)}` }),
    text: ({ alias }: { readonly alias: string }) => `${alias} stands for nothing.\n`,
  },
  tenants: {
    args: [],
    does: 'list tenants and their limits',
    request: () => ({ method: 'GET', path: '/admin/tenants' }),
    text: all<Tenant>(tenantsText),
  },
  tenant: {
    args: ['tenant'],
    does: 'make a tenant, or set its limits, all of them anew',
    takes: ['requestsPerMinute', 'tokensPerMinute', 'concurrent', 'allow', 'priority', 'weight', 'suspend'],
    request: ([id], options) => ({
      method: 'POST',
      path: '/admin/tenants',
      body: present({
        id,
        limits: present({
          requests_per_minute: options.requestsPerMinute,
          tokens_per_minute: options.tokensPerMinute,
          concurrent_requests: options.concurrent,
        }),
        models: options.allow?.split(','),
        priority: options.priority,
        weight: options.weight,
        suspended: options.suspend,
      }),
    }),
    text: one<Tenant>(tenantsText),
  },
  keys: {
    args: [],
    does: 'list keys, by their first characters',
    request: () => ({ method: 'GET', path: '/admin/keys' }),
    text: all<Omit<ApiKey, 'hash'>>(keysText),
  },
  'create-key': {
    args: ['tenant'],
    does: 'make a key, shown this once',
    takes: ['name', 'expiresDays'],
    request: ([tenant], { name, expiresDays }) => ({
      method: 'POST',
      path: '/admin/keys',
      body: present({ tenant, name, expires_in_days: expiresDays }),
    }),
    text: ({ key }: { readonly key: string }) => `${key}\n`,
  },
  'revoke-key': {
    args: ['key'],
    does: 'refuse a key from now on; its first characters name it',
    request: ([prefix]) => ({ method: 'DELETE', path: `/admin/keys/${part(prefix.replace(/…$/, ''))}` }),
    text: one<Omit<ApiKey, 'hash'>>(keysText),
  },
  usage: {
    args: [],
    does: 'tokens, simulated time and energy by tenant and model',
    takes: ['tenant', 'hours'],
    request: (_, { tenant, hours }, now) => {
      const query = new URLSearchParams(tenant === undefined ? {} : { tenant });
      // The hour that runs is one of them.
      const hour = Math.floor(now / USAGE_GRAIN_SECONDS) + 1;
      if (hours !== undefined) query.set('from', String((hour - hours) * USAGE_GRAIN_SECONDS));
      return { method: 'GET', path: `/admin/usage?${query}` };
    },
    text: all<UsageTotal>(usageText),
  },
  audit: {
    args: [],
    does: 'who did what, newest first',
    takes: ['limit'],
    request: (_, { limit }) => ({ method: 'GET', path: `/admin/audit${limit === undefined ? '' : `?limit=${limit}`}` }),
    text: all<AuditEntry>(auditText),
  },
};

const call = (name: string, { args }: Action): string => [name, ...args.map((arg) => arg.toUpperCase())].join(' ');
const MARGIN = 22;

export const admin: CliCommand<AdminOptions> = {
  declare(command) {
    command
      .description('Operate a server that runs with --admin-port: models, tenants, keys, usage.')
      .addArgument(new Argument('<action>', 'what to do, see below'))
      .addArgument(new Argument('[names...]', 'what to do it to'))
      .addOption(new Option('--admin-url <url>', 'address of the admin API').default(DEFAULT_ADMIN_URL))
      .addOption(
        new Option('--admin-key-file <path>', `file with its key (default: the variable ${ADMIN_KEY_VARIABLE})`),
      )
      .addOption(new Option('--model <path>', "load, swap: a checkpoint on the server's machine"))
      .addOption(new Option('--emulate <model>', 'load, swap: a model by name, answering with filler'))
      .addOption(new Option('--name <text>', 'load: what it is served as; create-key: what its owner calls it'))
      .addOption(
        numberOption(
          '--keep-warm <seconds>',
          'swap, rollback: how long the replaced version stays open (default: 300)',
          {
            min: 0,
            max: 86_400,
          },
        ),
      )
      .addOption(wholeOption('--requests-per-minute <count>', 'tenant: limit', 1, Number.MAX_SAFE_INTEGER))
      .addOption(
        wholeOption('--tokens-per-minute <count>', 'tenant: limit, prompts and answers', 1, Number.MAX_SAFE_INTEGER),
      )
      .addOption(wholeOption('--concurrent <count>', 'tenant: limit of requests at once', 1, Number.MAX_SAFE_INTEGER))
      .addOption(new Option('--allow <models>', 'tenant: the only models that it may use, with commas between'))
      .addOption(wholeOption('--priority <level>', 'tenant: level, the smaller goes first (default: 0)', -100, 100))
      .addOption(
        numberOption('--weight <share>', 'tenant: share under --scheduler fair (default: 1)', { min: 0.01, max: 1000 }),
      )
      .addOption(new Option('--suspend', 'tenant: refuse its requests'))
      .addOption(
        numberOption('--expires-days <days>', 'create-key: for how long (default: for ever)', {
          min: 0,
          max: 36_500,
          aboveMin: true,
        }),
      )
      .addOption(new Option('--tenant <tenant>', 'usage: of this one only'))
      .addOption(
        wholeOption('--hours <count>', 'usage: of the last hours, this one included (default: all)', 1, 1_000_000),
      )
      .addOption(wholeOption('--limit <count>', 'audit: entries (default: 100)', 1, 1000))
      .addOption(jsonOption());
    const listed = Object.entries(actions).map(([name, action]) => {
      const line = `  ${call(name, action).padEnd(MARGIN)}${action.does}`;
      return line.length <= LINE_WIDTH ? line : `  ${call(name, action)}\n${' '.repeat(MARGIN + 2)}${action.does}`;
    });
    command.addHelpText('after', `\nActions:\n${listed.join('\n')}`);
    addExamples(command, [
      ['a server to operate', 'ingot serve --auth --admin-port 8001 --admin-key-file admin.key'],
      ['a tenant', 'ingot admin tenant acme --tokens-per-minute 100000'],
      ['its key', 'ingot admin create-key acme --admin-key-file admin.key'],
      ['another version', 'ingot admin swap chat --model ./newer'],
      ['and back', 'ingot admin rollback chat'],
      ['what each tenant used today', 'ingot admin usage --hours 24'],
    ]);
  },

  async run(io, options, [name, ...args]) {
    const action = checked(name, args, options);
    const client = createAdminClient(options.adminUrl, options.adminKeyFile, process.env);
    if (action.isSlow === true) io.err(io.paintErr('dim', 'The server opens the model and warms it up.\n'));
    const answer = await client.ask(action.request(args, options, Date.now() / 1000));
    if (options.json === true) printJson(io, answer);
    else io.out(action.text(answer as never));
    if (name === 'create-key')
      io.err(io.paintErr('dim', 'The key, shown this once: the server keeps only its hash.\n'));
    return 0;
  },
};

const flagOf = (option: string): string => `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** @throws UsageError */
function checked(name: string, args: readonly string[], options: AdminOptions): Action {
  const refuse = (code: string, message: string, expected: string, found: string, suggestion?: string): never => {
    throw new UsageError({ code, message, expected, found, suggestion });
  };
  if (!Object.hasOwn(actions, name)) {
    const suggestion = didYouMean(name, Object.keys(actions)) ?? 'see ingot admin --help';
    return refuse(
      'ACTION_UNKNOWN',
      'ingot admin has no such action',
      Object.keys(actions).join(', '),
      name,
      suggestion,
    );
  }
  const action = actions[name];
  const shown = `ingot admin ${call(name, action)}`;
  if (args.length !== action.args.length)
    refuse('ARGUMENT_COUNT', `${name} takes ${action.args.length || 'no'} names`, shown, `${args.length} of them`);
  const given = optionNames.filter((option) => options[option] !== undefined);
  const { takes = [], needs = [] } = action;
  const foreign = given.filter((option) => !takes.includes(option));
  if (foreign.length > 0) {
    refuse(
      'OPTIONS_CONFLICT',
      `${name} does not take this option`,
      takes.length === 0 ? 'none of its own' : takes.map(flagOf).join(', '),
      foreign.map(flagOf).join(', '),
    );
  }
  const count = needs.filter((option) => options[option] !== undefined).length;
  if (needs.length > 0 && count !== 1)
    refuse('OPTION_MISSING', `${name} needs one of these options`, needs.map(flagOf).join(' or '), `${count} of them`);
  return action;
}

const optionNames = [...new Set(Object.values(actions).flatMap(({ takes = [] }) => takes))];
