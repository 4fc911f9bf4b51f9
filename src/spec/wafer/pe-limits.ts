import type { WaferId } from './index.ts';
import type { Fact } from '../fact.ts';

/** What a PE's CE offers to a program, apart from SRAM and colors. Keyed by wafer id. */
export interface PeLimits {
  readonly inputQueues: Fact;
  readonly outputQueues: Fact;
  readonly microthreads: Fact;
  /** Ids of local tasks begin with this, */
  readonly firstTaskId: Fact;
  /** and are below this. */
  readonly taskIds: Fact;
  /** Ids of control tasks are below this. */
  readonly controlTaskIds: Fact;
  /** SRAM that one instruction of a PE program takes, with the DSD that it sets up. */
  readonly bytesPerInstruction: Fact;
}

const digest = 'SDK 2.10 skill digest (github pedronahum/cerebras-csl-skills @5760ff0)';
const examples = 'github Cerebras/csl-examples @162e0f3, tutorial topic-15';
const unknown = 'no source found';

const wse2: PeLimits = {
  inputQueues: {
    value: 8,
    unit: 'queues',
    basis: 'per PE; taken equal to WSE-3',
    source: unknown,
    standing: 'assumed',
  },
  outputQueues: {
    value: 6,
    unit: 'queues',
    basis: 'per PE: a color injects through queue color / 4, and there are 24 colors',
    source: digest,
    standing: 'derived',
  },
  microthreads: {
    value: 8,
    unit: 'threads',
    basis: 'per PE: a microthread has the id of its queue',
    source: digest,
    standing: 'derived',
  },
  firstTaskId: {
    value: 0,
    unit: 'id',
    basis: 'of local tasks; ids are shared with colors, so a program that uses few colors may begin low',
    source: unknown,
    standing: 'assumed',
  },
  taskIds: {
    value: 31,
    unit: 'ids',
    basis: 'per PE, ids 0 to 30; taken equal to WSE-3',
    source: unknown,
    standing: 'assumed',
  },
  controlTaskIds: {
    value: 64,
    unit: 'ids',
    basis: 'per PE, ids 0 to 63; taken equal to WSE-3',
    source: unknown,
    standing: 'assumed',
  },
  bytesPerInstruction: {
    value: 16,
    unit: 'B',
    basis: 'per instruction with its share of DSD set-up; a round estimate, fitted to nothing',
    source: unknown,
    standing: 'assumed',
  },
};

const wse3: PeLimits = {
  ...wse2,
  inputQueues: { value: 8, unit: 'queues', basis: 'per PE', source: examples, standing: 'published' },
  outputQueues: { value: 8, unit: 'queues', basis: 'per PE', source: examples, standing: 'published' },
  microthreads: {
    value: 8,
    unit: 'threads',
    basis: 'per PE; chosen by the program, apart from queues; taken equal to the number of queues',
    source: examples,
    standing: 'derived',
  },
  firstTaskId: {
    value: 8,
    unit: 'id',
    basis: 'of local tasks; ids 0 to 7 belong to the data tasks of the input queues',
    source: digest,
    standing: 'published',
  },
  taskIds: { value: 31, unit: 'ids', basis: 'per PE, local tasks 8 to 30', source: digest, standing: 'published' },
  controlTaskIds: { value: 64, unit: 'ids', basis: 'per PE, 0 to 63', source: digest, standing: 'published' },
};

/** Limits by wafer id. WSE-1 has no public programming interface; it is taken to be like WSE-2. The WSE-3 Turbo is a WSE-3. */
export const peLimits: Readonly<Record<string, PeLimits>> = {
  wse1: wse2,
  wse2,
  wse3,
  'wse3-turbo': wse3,
} satisfies Record<WaferId, PeLimits>;
