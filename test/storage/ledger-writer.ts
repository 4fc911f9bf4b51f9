// A process that writes usage as fast as it can, says what it has appended, and is killed in the middle.

import { join } from 'node:path';
import process from 'node:process';
import { setImmediate as turn } from 'node:timers/promises';

import { usageRow } from '../../src/runtime/testing/usage-row.ts';
import { openEmbedded, openPostgres } from '../../src/app/storage/database.ts';
import { openLedger } from '../../src/app/storage/ledger.ts';

const [tenant, dir, url] = process.argv.slice(2);
const records = url === undefined ? await openEmbedded(dir) : await openPostgres(url);
const ledger = await openLedger({ records, dir: join(dir, 'journal') });
for (let appended = 1; ; appended++) {
  const { id: _, ...usage } = usageRow({ tenant });
  ledger.append(usage);
  process.stdout.write(`${appended}\n`);
  if (appended % 50 === 0) await turn();
  if (appended % 500 === 0) await ledger.flush();
}
