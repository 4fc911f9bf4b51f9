// Formats of strings that a grammar can hold to, as patterns (RFC 3339, 9562, 5321, 1123, 2673, 3986, ISO 8601). Each gives a part
// of what its standard allows, never more: February ends with the 28th, and minutes have 60 seconds.

const DATE =
  '\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))';
const TIME = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+\\-](?:[01]\\d|2[0-3]):[0-5]\\d)';
const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9\\-]{0,20}[a-zA-Z0-9])?';
const HOSTNAME = `${LABEL}(?:\\.${LABEL}){0,4}`;
const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';

export const stringFormats: Readonly<Record<string, string>> = {
  date: `^${DATE}$`,
  time: `^${TIME}$`,
  'date-time': `^${DATE}T${TIME}$`,
  duration: '^P(?:\\d{1,6}W|\\d{1,6}DT\\d{1,6}H|\\d{1,6}[YMD]|T\\d{1,6}[HMS])$',
  uuid: '^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$',
  email: `^[a-zA-Z0-9_+\\-]{1,32}(?:\\.[a-zA-Z0-9_+\\-]{1,16}){0,2}@${LABEL}(?:\\.${LABEL}){1,3}$`,
  hostname: `^${HOSTNAME}$`,
  ipv4: `^${OCTET}(?:\\.${OCTET}){3}$`,
  uri: `^https?://${HOSTNAME}(?::[1-9]\\d{0,3})?(?:/[a-zA-Z0-9\\-._~]{1,40}){0,8}/?(?:\\?[a-zA-Z0-9\\-._~=&]{1,80})?$`,
  ipv6: '^[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){7}$',
};

/** Those of draft 2020-12. Other names are annotations. */
export const DEFINED_FORMATS: ReadonlySet<unknown> = new Set([
  ...Object.keys(stringFormats),
  'idn-email', 'idn-hostname', 'uri-reference', 'iri', 'iri-reference', 'uri-template',
  'json-pointer', 'relative-json-pointer', 'regex',
]); // prettier-ignore
