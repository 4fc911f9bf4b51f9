// What the admin API answers, as tables.

import { formatCount, formatSi, renderTable, type Column } from '../../../core/index.ts';
import type { ApiKey, AuditEntry, ModelStatus, Tenant, UsageTotal } from '../../../runtime/index.ts';

/** Characters of what was asked for in a line of the audit log. */
const DETAIL_WIDTH = 40;

/** Bodies come as they were sent, with line ends and what else moves a terminal's cursor. */
const oneLine = (text: string): string => text.replaceAll(/[\p{Cc}\s]+/gu, ' ');

/** To the second, in UTC. */
const time = (unix: number): string => new Date(unix * 1000).toISOString().slice(0, 19).replace('T', ' ');
const right = 'right' as const;
const table = <Row>(columns: readonly Column<Row>[], rows: readonly Row[], none: string): string =>
  rows.length === 0 ? `${none}\n` : `${renderTable(columns, rows)}\n`;

export function modelsText(models: readonly ModelStatus[]): string {
  const rows = models.flatMap(({ id, aliases, versions }) => versions.map((version) => ({ id, aliases, ...version })));
  return table(
    [
      { heading: 'Model', text: ({ id }) => id },
      { heading: 'Version', text: ({ version }) => String(version), align: right },
      {
        heading: 'State',
        text: ({ state, warm_until: until }) => (until === undefined ? state : `${state} until ${time(until)}`),
      },
      { heading: 'In flight', text: ({ in_flight: count }) => formatCount(count), align: right },
      { heading: 'Aliases', text: ({ aliases }) => aliases.join(', ') },
    ],
    rows,
    'No models are served.',
  );
}

const limit = (count: number | undefined): string => (count === undefined ? '–' : formatCount(count));

export const tenantsText = (tenants: readonly Tenant[]): string =>
  table(
    [
      { heading: 'Tenant', text: ({ id, suspended }) => (suspended ? `${id} (suspended)` : id) },
      { heading: 'Requests/min', text: ({ limits }) => limit(limits.requests_per_minute), align: right },
      { heading: 'Tokens/min', text: ({ limits }) => limit(limits.tokens_per_minute), align: right },
      { heading: 'At once', text: ({ limits }) => limit(limits.concurrent_requests), align: right },
      { heading: 'Level', text: ({ priority }) => String(priority), align: right },
      { heading: 'Weight', text: ({ weight = 1 }) => String(weight), align: right },
      { heading: 'Models', text: ({ models }) => models?.join(', ') ?? 'all' },
    ],
    tenants,
    'There are no tenants.',
  );

type ShownKey = Omit<ApiKey, 'hash'>;
const stateOf = ({ revoked, expires }: ShownKey): string => {
  if (revoked !== undefined) return `revoked ${time(revoked)}`;
  return expires === undefined ? 'valid' : `until ${time(expires)}`;
};

export const keysText = (keys: readonly ShownKey[]): string =>
  table(
    [
      { heading: 'Key', text: ({ prefix }) => `${prefix}…` },
      { heading: 'Tenant', text: ({ tenant }) => tenant },
      { heading: 'Name', text: ({ name }) => name },
      { heading: 'Made', text: ({ created }) => time(created) },
      { heading: 'State', text: stateOf },
    ],
    keys,
    'There are no keys.',
  );

export const usageText = (totals: readonly UsageTotal[]): string =>
  table(
    [
      { heading: 'Tenant', text: ({ tenant }) => tenant },
      { heading: 'Model', text: ({ model }) => model },
      { heading: 'Requests', text: (of) => formatCount(of.requests), align: right },
      { heading: 'Prompt', text: (of) => formatCount(of.prompt_tokens), align: right },
      { heading: 'Cached', text: (of) => formatCount(of.cached_tokens), align: right },
      { heading: 'Answer', text: (of) => formatCount(of.completion_tokens), align: right },
      { heading: 'Wafer time', text: (of) => formatSi(of.wafer_seconds, 's'), align: right },
      { heading: 'Energy', text: (of) => formatSi(of.wafer_joules, 'J'), align: right },
    ],
    totals,
    'Nothing was used.',
  );

export const auditText = (entries: readonly AuditEntry[]): string =>
  table(
    [
      { heading: 'Time', text: (of) => time(of.time) },
      { heading: 'Who', text: ({ actor, from }) => (from === '' ? actor : `${actor} from ${from}`) },
      { heading: 'Action', text: ({ action }) => action },
      { heading: 'Outcome', text: ({ outcome }) => String(outcome), align: right },
      {
        heading: 'Asked for',
        text({ detail }) {
          const line = oneLine(detail);
          return line.length > DETAIL_WIDTH ? `${line.slice(0, DETAIL_WIDTH - 1)}…` : line;
        },
      },
    ],
    entries,
    'Nothing was done.',
  );
