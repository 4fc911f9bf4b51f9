// Plain-text tables for people, and the number formats they use everywhere.

export interface Column<Row> {
  readonly heading: string;
  readonly text: (row: Row) => string;
  readonly align?: 'left' | 'right';
}

/** Columns padded with two spaces between; headings underlined. No trailing spaces. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map((column) => column.text(row)));
  const widths = columns.map((column, i) => Math.max(column.heading.length, ...cells.map((row) => row[i].length)));
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => (columns[i].align === 'right' ? text.padStart(widths[i]) : text.padEnd(widths[i])))
      .join('  ')
      .trimEnd();
  return [
    line(columns.map((column) => column.heading)),
    line(widths.map((width) => '─'.repeat(width))),
    ...cells.map(line),
  ].join('\n');
}

/** 1234567 → "1,234,567"; the separator does not depend on the locale of the machine. */
export function formatCount(n: number): string {
  const [whole, fraction] = String(n).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** Three significant digits and a decimal prefix: 44.0 GB, 12.7 kB. */
export function formatSi(value: number, unit: string): string {
  const prefixes: readonly [number, string][] = [
    [1e15, 'P'],
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
    [1, ''],
    [1e-3, 'm'],
    [1e-6, 'µ'],
    [1e-9, 'n'],
  ];
  if (value === 0 || !Number.isFinite(value)) return `${value} ${unit}`;
  const [factor, prefix] = prefixes.find(([f]) => Math.abs(value) >= f) ?? [1e-9, 'n'];
  return `${(value / factor).toPrecision(3)} ${prefix}${unit}`;
}
