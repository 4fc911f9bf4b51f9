// Who may ask, and how much. Values as they are stored; what they mean is decided in access.ts.

/** Absent: no limit. */
export interface TenantLimits {
  readonly requests_per_minute?: number;
  /** Prompt and answer together. */
  readonly tokens_per_minute?: number;
  readonly concurrent_requests?: number;
}

export interface Tenant {
  readonly id: string;
  readonly limits: TenantLimits;
  /** Models that it may use, by id, and so by their aliases; absent: all. */
  readonly models?: readonly string[];
  /** Level of urgency of its requests, as in the engine: the smaller goes first, 0 is usual. */
  readonly priority: number;
  /** Its share in relation to other tenants, for the fair scheduler; absent: 1. */
  readonly weight?: number;
  readonly suspended: boolean;
  /** Unix seconds. */
  readonly created: number;
}

/** A key as it is kept: the secret itself is nowhere. */
export interface ApiKey {
  /** Its first characters, by which people and logs recognise it. */
  readonly prefix: string;
  /** Hexadecimal SHA-256 of the whole key. */
  readonly hash: string;
  readonly tenant: string;
  /** What its owner calls it. */
  readonly name: string;
  readonly created: number;
  /** Unix seconds from which it is refused. */
  readonly expires?: number;
  readonly revoked?: number;
}
