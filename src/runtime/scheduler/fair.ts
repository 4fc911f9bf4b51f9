// Weighted fair sharing between tenants: start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996) over tokens.
// Each tenant has a virtual time that runs with the tokens it asks for, divided by its weight; a request's place is its tenant's
// time when it comes. A tenant that was away starts at the time of those that were served, and so saves nothing up; one that was
// there all along, however few of its requests waited, loses nothing either: it starts no later than the last that was let in.

import { generated, type Sequence } from '../sequence.ts';
import type { PolicyFactory } from './scheduler.ts';

interface Tenant {
  /** Virtual time at which its next request starts. */
  next: number;
  /** Mean tokens of its answers, which stands for those that are not known yet. */
  answer: number;
  /** Requests that wait or run. */
  present: number;
  /** As its newest request has it. */
  weight: number;
}

/** Tokens of an answer where none has been seen. */
const FIRST_GUESS = 256;
/** Weight of the newest answer in the mean. */
const NEWEST = 0.1;
/** Tenants remembered while they are away; beyond that, the longest away are strangers again. */
const MAX_AWAY = 1024;

export const fair: PolicyFactory = <S extends Sequence>() => {
  const tenants = new Map<string, Tenant>();
  let virtualTime = 0;
  /** Place of the last that was let in: the virtual time of the source, which stands still while newcomers without end come. */
  let reached = 0;
  let presentWeight = 0;
  let away = 0;
  const costOf = (sequence: S, answer: number): number =>
    sequence.promptTokens + Math.min(sequence.maxTokens, Math.ceil(answer));

  const enter = ({ tenant: name, weight }: S): Tenant => {
    const tenant = tenants.get(name) ?? { next: 0, answer: FIRST_GUESS, present: 0, weight };
    if (tenant.present === 0) {
      if (tenants.delete(name)) away--;
      tenants.set(name, tenant);
    } else presentWeight -= tenant.weight;
    presentWeight += weight;
    tenant.weight = weight;
    tenant.present++;
    return tenant;
  };
  const known = (name: string): Tenant => {
    const tenant = tenants.get(name);
    if (tenant === undefined) throw new Error('a sequence of the scheduler has a tenant');
    return tenant;
  };

  return {
    rank(sequence: S): number {
      const wasThere = (tenants.get(sequence.tenant)?.present ?? 0) > 0;
      const tenant = enter(sequence);
      const start = Math.max(wasThere ? reached : virtualTime, tenant.next);
      tenant.next = start + costOf(sequence, tenant.answer) / sequence.weight;
      return start;
    },
    admitted(sequence: S): void {
      // It also moves with the service itself, so that tenants without end cannot hold it still and starve one.
      const cost = costOf(sequence, known(sequence.tenant).answer);
      reached = Math.max(reached, sequence.rank);
      virtualTime = Math.max(virtualTime, sequence.rank) + cost / presentWeight;
    },
    ended(sequence: S): void {
      const name = sequence.tenant;
      const tenant = known(name);
      // Texts that are embedded have no answers, and tell nothing of the length of those that do.
      if (sequence.maxTokens > 0) tenant.answer += NEWEST * (generated(sequence) - tenant.answer);
      tenant.present--;
      if (tenant.present > 0) return;
      presentWeight -= tenant.weight;
      away++;
      // Again in order of leaving.
      tenants.delete(name);
      tenants.set(name, tenant);
      for (const [oldest, { present }] of tenants) {
        if (away <= MAX_AWAY) break;
        if (present > 0) continue;
        tenants.delete(oldest);
        away--;
      }
    },
  };
};
