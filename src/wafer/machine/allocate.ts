// Addresses for memory objects, with the bank of each object's first word where a kernel cares: two operands
// that are read in one cycle must not start in one bank.

import { fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { dtypeBytes, type Dtype, type MemoryObject } from './pe-program.ts';

export interface MemoryRequest {
  readonly name: string;
  readonly dtype: Dtype;
  readonly length: number;
  /** Bank of the first word; any when absent. */
  readonly bank?: number;
  /** An earlier request whose bytes this one reads as another type. */
  readonly over?: string;
}

/** A bank is 32 bits wide, and successive words lie in successive banks. */
export const bankWidth = 4;

/**
 * Lays the objects one after another, each on a word boundary and in its bank.
 * @throws IngotError BANK_UNKNOWN
 */
export function allocate(requests: readonly MemoryRequest[], wafer: Wafer): MemoryObject[] {
  let next = 0;
  const addresses = new Map<string, number>();
  return requests.map(({ name, dtype, length, bank, over }) => {
    const shared = over === undefined ? undefined : addresses.get(over);
    if (shared !== undefined) return { name, dtype, length, address: shared, over };
    if (bank !== undefined && !(Number.isInteger(bank) && bank >= 0 && bank < wafer.sramBanks))
      fail({ code: 'BANK_UNKNOWN', message: `bank ${bank} of "${name}"`, expected: `0 to ${wafer.sramBanks - 1}` });
    const word = Math.ceil(next / bankWidth);
    const skip = bank === undefined ? 0 : (bank - (word % wafer.sramBanks) + wafer.sramBanks) % wafer.sramBanks;
    const address = (word + skip) * bankWidth;
    addresses.set(name, address);
    next = address + length * dtypeBytes(dtype);
    return { name, dtype, length, address };
  });
}
