// What lowering a program gives: instructions, and what to load where; and what lowering one op may use.

import type { DType, EmbeddingOp, HeadLinearOp, LinearOp, RopeOp } from '../../model/index.ts';
import type { KvType, Program, ProgramOrders, ReductionPlan, WeightFormat } from '../../wafer/index.ts';
import * as layout from '../wasm/layout.ts';
import { roundUp, type MemoryUse } from './memory-map.ts';

export interface LowerOptions {
  readonly threads: number;
  /** Tokens per pass; longer steps take several passes. */
  readonly rows: number;
  /** Rows of logits per pass. */
  readonly wantedRows: number;
  readonly blocks: number;
  /** Longest sequence. */
  readonly maxContext: number;
  /** Stored type of a tensor of the checkpoint. */
  readonly dtype: (name: string) => DType;
}

/** Linear ops on one input, as one matrix of row blocks. */
export interface MatrixLoad {
  readonly format: number;
  readonly k: number;
  /** Blocks of rows, and the bytes that they take. */
  readonly blocks: number;
  readonly bytes: number;
  readonly address: number;
  /** Where the fp32 scales go, or 0; of each block so many bytes. */
  readonly scales: number;
  readonly scaleBytes: number;
  /** Elements of a row that share a scale, or 0. */
  readonly group: number;
  /** For each element in the order of the tree where the scales of its group lie in those of a block, or 0. */
  readonly groupOffsets: number;
  /** Where the fp32 biases go, or 0. */
  readonly bias: number;
  /** Element order, where the format keeps the order of the tree. */
  readonly order: number;
  /** Each starts on a block of its own. */
  readonly parts: readonly { readonly op: LinearOp; readonly firstBlock: number }[];
}

/**
 * An embedding that shares no weights with a matrix. Its table stays in the checkpoint: a token needs one row, and
 * the caller puts it at `address` + row * `stride` before the pass.
 */
export interface TableLookup {
  readonly op: EmbeddingOp;
  /** Format in which rows are held. */
  readonly format: WeightFormat;
  readonly address: number;
  readonly stride: number;
}

/** A matrix for each head, widened to fp32: of each head the blocks of 16 outputs, [k][16]. */
export interface HeadMatrixLoad {
  readonly op: HeadLinearOp;
  readonly address: number;
}

export interface VectorLoad {
  readonly name: string;
  readonly length: number;
  /** Added to every element. */
  readonly offset: number;
  readonly address: number;
}

/** Runs of the elements [from, to) of a vector, a run list at `list`; `order`: the element order at that address. */
export interface RunsLoad {
  readonly plan: ReductionPlan;
  readonly from: number;
  readonly to: number;
  readonly list: number;
  readonly order: number;
}

/** For each element of the order at `order`, `length` of them, the offset of its group's scales in those of a block. */
export interface GroupOffsets {
  readonly order: number;
  readonly length: number;
  readonly group: number;
  readonly address: number;
}

/** Runs of each part of a row (a norm's groups, the heads of a row of keys), with the addresses at which they start and end in a table. */
export interface PartRuns {
  readonly plan: ReductionPlan;
  readonly groups: number;
  /** Elements from the start of one part to that of the next, and in each. */
  readonly step: number;
  readonly length: number;
  readonly runs: number;
  readonly bounds: number;
}

export interface RopeLoad {
  readonly op: RopeOp;
  readonly address: number;
}

export interface Addresses {
  readonly scratch: number;
  readonly scratchBytes: number;
  readonly scoresOffset: number;
  readonly valueRowsOffset: number;
  readonly panelOffset: number;
  readonly body: number;
  readonly epilogue: number;
  readonly rowToken: number;
  readonly rowPosition: number;
  readonly rowTable: number;
  readonly wantedRow: number;
  readonly tables: number;
  readonly logits: number;
  readonly logitsStride: number;
  /** What the head reads: the wanted rows after the last norm. */
  readonly hidden: number;
  readonly hiddenStride: number;
  readonly staging: number;
  readonly stagingBytes: number;
}

export interface Lowered {
  readonly totalBytes: number;
  readonly bytesByUse: Readonly<Record<MemoryUse, number>>;
  /** Instructions, 32 words each. */
  readonly body: readonly Uint32Array[];
  readonly epilogue: readonly Uint32Array[];
  /** Instructions of the epilogue before the head. */
  readonly hiddenInstructions: number;
  readonly matrices: readonly MatrixLoad[];
  readonly headMatrices: readonly HeadMatrixLoad[];
  readonly tables: readonly TableLookup[];
  readonly vectors: readonly VectorLoad[];
  readonly runs: readonly RunsLoad[];
  readonly groupOffsets: readonly GroupOffsets[];
  readonly partRuns: readonly PartRuns[];
  readonly ropes: readonly RopeLoad[];
  readonly addresses: Addresses;
  /** Entries in the block table of one row. */
  readonly tableEntries: number;
}

/** A value: rows of fp32 at `address`, `stride` bytes apart. */
export interface View {
  readonly address: number;
  readonly stride: number;
}

/** What lowering an op of several instructions may use. */
export interface LoweringTools {
  readonly program: Program;
  readonly options: LowerOptions;
  readonly orders: ProgramOrders;
  /** Where the input of a matrix lies in the order in which it is added. */
  readonly packed: number;
  emit(op: number, ...operands: number[]): void;
  /** Where a value lies that was written before. */
  view(name: string): View;
  /** Room for a value of this section, under its name or without one. */
  define(name: string, width: number): View;
  buffer(name: string, width: number): View;
  /** Memory that whoever asks for this key gets. */
  shared(key: string, bytes: number): number;
  /** Address of a weight in fp32. */
  vector(name: string, length: number): number;
  runList(plan: ReductionPlan, length: number): RunsLoad;
  /**
   * Room for matrices that differ only in their weights, one after another without a gap: each is several linear ops on
   * one input, as `sets` lists them.
   */
  addMatrices(sets: readonly (readonly LinearOp[])[], format: WeightFormat, plan: ReductionPlan): readonly MatrixLoad[];
}

/** Codes of the activations of gated units. */
export const activations = {
  silu: layout.activationSilu,
  'gelu-tanh': layout.activationGeluTanh,
  'clamped-silu': layout.activationClampedSilu,
};
export const formats: Readonly<Record<WeightFormat, number>> = {
  f32: layout.formatF32,
  bf16: layout.formatBf16,
  f16: layout.formatF16,
  int8: layout.formatInt8,
  fp8: layout.formatFp8,
  'int4-32': layout.formatInt4,
  'int4-64': layout.formatInt4,
  'int4-128': layout.formatInt4,
};
export const kvFormats: Readonly<Record<KvType, number>> = {
  fp32: layout.cacheFp32,
  fp16: layout.cacheFp16,
  int8: layout.cacheInt8,
};
/** Bytes of an element of a format. */
export const formatBytes = [4, 2, 2, 1, 1, 0.5];
const floatWord = new Float32Array(1);
export const floatBits = (x: number): number => {
  floatWord[0] = x;
  return new Uint32Array(floatWord.buffer)[0];
};

export const rowBytes = (width: number): number => roundUp(width * 4, 64);
/** Blocks that a thread takes at a time: few enough to share a matrix evenly, enough to stream. */
export const grainOf = (blocks: number): number => Math.max(1, Math.min(16, blocks >> 5));
