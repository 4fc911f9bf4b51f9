import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

import type { KeyTools } from './access.ts';

const SECRET_BYTES = 32;
/** Four thousand million names: what stands in the open need not be secret, only different. */
const NAME_BYTES = 4;

/**
 * SHA-256 without salt or stretching is right for these keys, as it is not for passwords: 256 random bits can be neither
 * guessed nor looked up, so a slow hash would only make every request slow.
 */
export const keyTools: KeyTools = {
  newSecret: () => randomBytes(SECRET_BYTES).toString('base64url'),
  newName: () => randomBytes(NAME_BYTES).toString('hex'),
  hash: (text) => createHash('sha256').update(text).digest('hex'),
  equal: (a, b) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b)),
};
