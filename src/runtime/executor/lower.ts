// A program as instructions for the WASM kernels, with an address for everything. Nothing is executed here: the
// same lowering sizes the memory, so an estimate and an executor cannot disagree.

import { assert } from '../../core/index.ts';
import type { AttentionOp, DType, EmbeddingOp, LinearOp, Op, RmsNormOp, RopeOp } from '../../model/index.ts';
import { heldMatrix, heldTable, ordersOf } from '../../wafer/index.ts';
import type { Program, ReductionPlan } from '../../wafer/index.ts';
import * as layout from '../wasm/layout.ts';
import { createMemoryMap, roundUp } from './memory-map.ts';
import type { MemoryMap, MemoryUse } from './memory-map.ts';

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
  readonly address: number;
  /** int8: one fp32 a row. */
  readonly scales: number;
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
  /** Format to which stored elements are rounded. */
  readonly format: number;
  readonly address: number;
  readonly stride: number;
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

/** Runs of each part of a row (a norm's groups, the heads of a row of keys), with the addresses at which they start and end in a table. */
export interface PartRuns {
  readonly plan: ReductionPlan;
  readonly width: number;
  readonly groups: number;
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
  readonly staging: number;
  readonly stagingBytes: number;
}

export interface Lowered {
  readonly totalBytes: number;
  readonly bytesByUse: Readonly<Record<MemoryUse, number>>;
  /** Instructions, 32 words each. */
  readonly body: readonly Uint32Array[];
  readonly epilogue: readonly Uint32Array[];
  readonly matrices: readonly MatrixLoad[];
  readonly tables: readonly TableLookup[];
  readonly vectors: readonly VectorLoad[];
  readonly runs: readonly RunsLoad[];
  readonly partRuns: readonly PartRuns[];
  readonly ropes: readonly RopeLoad[];
  readonly addresses: Addresses;
  /** Entries in the block table of one row. */
  readonly tableEntries: number;
}

/** A value: rows of fp32 at `address`, `stride` bytes apart. */
interface View {
  readonly address: number;
  readonly stride: number;
}

const activations = {
  silu: layout.activationSilu,
  'gelu-tanh': layout.activationGeluTanh,
  'clamped-silu': layout.activationClampedSilu,
};
const formats = { f32: layout.formatF32, bf16: layout.formatBf16, f16: layout.formatF16, int8: layout.formatInt8 };
/** Bytes of an element of a format. */
export const formatBytes = [4, 2, 2, 1];
/** Half a megabyte of rows at a time, or one block where that is more. */
const stagingRowsBytes = 512 * 1024;

const floatWord = new Float32Array(1);
const floatBits = (x: number): number => {
  floatWord[0] = x;
  return new Uint32Array(floatWord.buffer)[0];
};

/** A soft cap and one over it; 0 for none. */
const capWords = (cap: number | undefined): number[] =>
  cap === undefined ? [0, 0] : [floatBits(cap), floatBits(1 / Math.fround(cap))];

const rowBytes = (width: number): number => roundUp(width * 4, 64);
/** Bytes that one block of a layer's cache takes: keys, then values padded to whole vectors. */
export const cacheBlockBytes = (op: AttentionOp): number =>
  op.kvHeads * layout.blockTokens * 4 * (op.headDim + roundUp(op.headDim, 4));
/** Enough for the runs over any range: three chains a group, and two short tiles. */
const runListBytes = (plan: ReductionPlan): number =>
  layout.runListHeader + (3 * Math.ceil(plan.parts / plan.group) + 2) * layout.runBytes;

/** Lower `program` for a number of rows, blocks and threads. */
export function lower(program: Program, options: LowerOptions): Lowered {
  return new Lowering(program, options).finish();
}

class Lowering {
  private readonly program: Program;
  private readonly options: LowerOptions;
  private readonly map: MemoryMap = createMemoryMap(layout.controlBytes);
  private readonly orders: ReturnType<typeof ordersOf>;
  private readonly buffers = new Map<string, number>();
  private readonly runLists = new Map<string, RunsLoad>();
  private readonly runsOfParts = new Map<string, PartRuns>();
  private readonly ropeTables = new Map<string, RopeLoad>();
  private readonly vectors = new Map<string, VectorLoad>();
  private readonly matrices: MatrixLoad[] = [];
  private readonly tables: TableLookup[] = [];
  private readonly matrixOf = new Map<LinearOp, MatrixLoad>();
  private values = new Map<string, View>();
  private instructions: Uint32Array[] = [];
  private rows: number;
  private section: 'body' | 'epilogue' = 'body';
  private readonly packed: number;
  private readonly tokenScales: number;
  private widestK = 1;

  constructor(program: Program, options: LowerOptions) {
    this.program = program;
    this.options = options;
    this.orders = ordersOf(program);
    this.rows = options.rows;
    for (const op of this.allOps()) if (op.kind === 'linear') this.widestK = Math.max(this.widestK, op.k);
    const padded = roundUp(Math.max(options.rows, options.wantedRows), layout.tokenGroup);
    this.packed = this.map.take(padded * roundUp(this.widestK, 2) * 4, 'work');
    this.tokenScales = this.map.take(padded * 4, 'work');
  }

  finish(): Lowered {
    const { graph } = this.program;
    const { map, options } = this;
    // The head first: an embedding that shares its weights reads them from there.
    const groups = new Map([graph.prologue, ...graph.layers, graph.epilogue].map((ops) => [ops, groupLinears(ops)]));
    for (const [, sets] of groups) for (const set of new Set(sets.values())) this.placeMatrix(set);

    const lowerSection = (ops: readonly Op[], layer: number): void => {
      const sets = groups.get(ops);
      assert(sets !== undefined, 'every section was grouped');
      for (const op of ops) this.lowerOp(op, layer, sets);
    };
    lowerSection(graph.prologue, 0);
    for (const [layer, ops] of graph.layers.entries()) lowerSection(ops, layer);
    const body = this.instructions;

    this.section = 'epilogue';
    this.instructions = [];
    this.rows = options.wantedRows;
    const x = this.view('x');
    const wanted = this.buffer('x', graph.shape.hidden);
    this.emit(layout.opGather, wanted.address, wanted.stride, x.address, x.stride, rowBytes(graph.shape.hidden));
    this.values = new Map([['x', wanted]]);
    lowerSection(graph.epilogue, graph.layers.length);
    const epilogue = this.instructions;

    const logits = this.view('logits');
    const tableEntries = Math.ceil(options.maxContext / layout.blockTokens);
    const staged = Math.max(this.widestK, ...this.allOps().map((op) => (op.kind === 'embedding' ? op.width : 0)));
    // Rows as stored, then as fp32 or in their final type.
    const stagingBytes = Math.max(stagingRowsBytes, layout.blockRows * staged * 4);
    const addresses: Addresses = {
      ...this.scratch(),
      body: map.take(body.length * layout.instructionBytes, 'work'),
      epilogue: map.take(epilogue.length * layout.instructionBytes, 'work'),
      rowToken: map.take(options.rows * 4, 'work'),
      rowPosition: map.take(options.rows * 4, 'work'),
      rowTable: map.take(options.rows * 4, 'work'),
      wantedRow: map.take(options.wantedRows * 4, 'work'),
      tables: map.take(options.rows * tableEntries * 4, 'work'),
      logits: logits.address,
      logitsStride: logits.stride,
      stagingBytes,
      staging: map.take(2 * stagingBytes, 'work'),
    };
    return {
      totalBytes: map.total,
      bytesByUse: map.byUse,
      body,
      epilogue,
      matrices: this.matrices,
      tables: this.tables,
      vectors: [...this.vectors.values()],
      runs: [...this.runLists.values()],
      partRuns: [...this.runsOfParts.values()],
      ropes: [...this.ropeTables.values()],
      addresses,
      tableEntries,
    };
  }

  private allOps(): Op[] {
    const { prologue, layers, epilogue } = this.program.graph;
    return [...prologue, ...layers.flat(), ...epilogue];
  }

  /** Private memory of the threads: accumulators, runs of a context, scores, and a panel or a head's result. */
  private scratch(): Pick<Addresses, 'scratch' | 'scratchBytes' | 'scoresOffset' | 'valueRowsOffset' | 'panelOffset'> {
    const { map, options } = this;
    const attentions = this.allOps().filter((op) => op.kind === 'attention');
    const contextRuns = Math.max(0, ...attentions.map((op) => runListBytes(this.orders.overPositions(op, 1))));
    const scoresOffset = roundUp(layout.contextRunsOffset + contextRuns, 64);
    // A window may start anywhere in a block, so the scores can take one block more than the context.
    const valueRowsOffset = scoresOffset + (roundUp(options.maxContext, layout.blockTokens) + layout.blockTokens) * 4;
    const panelOffset = valueRowsOffset + roundUp(options.maxContext * 4, 64);
    const headBytes = Math.max(0, ...attentions.map((op) => roundUp(op.headDim, 4) * 4));
    const scratchBytes = roundUp(panelOffset + Math.max(this.widestK * layout.blockRows * 4, headBytes), 64);
    return {
      scratch: map.take(scratchBytes * options.threads, 'work'),
      scratchBytes,
      scoresOffset,
      valueRowsOffset,
      panelOffset,
    };
  }

  private emit(op: number, ...operands: number[]): void {
    const words = new Uint32Array(layout.instructionBytes / 4);
    words.set([op, ...operands]);
    this.instructions.push(words);
  }

  private view(name: string): View {
    const view = this.values.get(name);
    assert(view !== undefined, `value ${name} is read before it is written`);
    return view;
  }

  /** The buffer of a value; layers share it, since a value lives for one layer only. */
  private buffer(name: string, width: number): View {
    const key = `${this.section} ${name} ${width}`;
    const stride = rowBytes(width);
    let address = this.buffers.get(key);
    if (address === undefined) {
      address = this.map.take(roundUp(this.rows, layout.tokenGroup) * stride, 'work');
      this.buffers.set(key, address);
    }
    return { address, stride };
  }

  private define(name: string, width: number): View {
    const view = this.buffer(name, width);
    this.values.set(name, view);
    return view;
  }

  private vector(name: string, length: number, offset = 0): number {
    const known = this.vectors.get(name);
    if (known !== undefined) return known.address;
    const address = this.map.take(length * 4, 'weights');
    this.vectors.set(name, { name, length, offset, address });
    return address;
  }

  private runList(plan: ReductionPlan, length: number): RunsLoad {
    const key = [plan.tile, plan.parts, plan.group, length].join();
    const known = this.runLists.get(key);
    if (known !== undefined) return known;
    const list = this.map.take(runListBytes(plan), 'work');
    const made = { plan, from: 0, to: length, list, order: this.map.take(length * 4, 'work') };
    this.runLists.set(key, made);
    return made;
  }

  /** Where the weights of linear ops on one input go. */
  private placeMatrix(ops: readonly LinearOp[]): void {
    const { k } = ops[0];
    const format = formats[heldMatrix(this.program.numerics)];
    const parts: { op: LinearOp; firstBlock: number }[] = [];
    let blocks = 0;
    for (const op of ops) {
      parts.push({ op, firstBlock: blocks });
      blocks += Math.ceil(op.n / layout.blockRows);
    }
    const outputBytes = blocks * layout.blockRows * 4;
    const load: MatrixLoad = {
      format,
      k,
      address: this.map.take(blocks * layout.blockRows * roundUp(k, 2) * formatBytes[format], 'weights'),
      scales: format === layout.formatInt8 ? this.map.take(outputBytes, 'weights') : 0,
      bias: ops.some((op) => op.bias !== undefined) ? this.map.take(outputBytes, 'weights') : 0,
      order: format === layout.formatInt8 ? 0 : this.runList(this.orders.of(ops[0]), k).order,
      parts,
    };
    this.matrices.push(load);
    for (const op of ops) this.matrixOf.set(op, load);
  }

  private lowerOp(op: Op, layer: number, sets: ReadonlyMap<LinearOp, readonly LinearOp[]>): void {
    switch (op.kind) {
      case 'embedding':
        return this.lowerEmbedding(op);
      case 'rmsnorm':
        return this.lowerNorm(op);
      case 'linear': {
        const set = sets.get(op);
        assert(set !== undefined, 'every linear op is in a set');
        if (set[0] === op) this.lowerLinears(set);
        return;
      }
      case 'rope':
        return this.lowerRope(op);
      case 'attention':
        return this.lowerAttention(op, layer);
      case 'glu': {
        const gate = this.view(op.gate);
        const up = this.view(op.up);
        const out = this.define(op.out, op.width);
        const operands = [
          gate.address,
          gate.stride,
          up.address,
          up.stride,
          roundUp(op.width, 4),
          activations[op.activation],
        ];
        return this.emit(layout.opGlu, out.address, out.stride, ...operands);
      }
      case 'softcap': {
        const x = this.view(op.input);
        const out = this.define(op.out, op.width);
        const operands = [x.address, x.stride, roundUp(op.width, 4), ...capWords(op.cap)];
        return this.emit(layout.opSoftcap, out.address, out.stride, ...operands);
      }
      case 'add': {
        const a = this.view(op.a);
        const b = this.view(op.b);
        const out = this.define(op.out, op.width);
        const operands = [a.address, a.stride, b.address, b.stride, roundUp(op.width, 4)];
        return this.emit(layout.opAdd, out.address, out.stride, ...operands);
      }
      case 'moe':
        throw new Error('a mixture of experts is never executed');
    }
  }

  private lowerEmbedding(op: EmbeddingOp): void {
    const out = this.define(op.out, op.width);
    const shared = this.matrices.flatMap((matrix) =>
      matrix.format === layout.formatInt8 ? [] : matrix.parts.map((part) => ({ matrix, part })),
    );
    const head = shared.find(({ part }) => part.op.weight === op.weight);
    if (head !== undefined) {
      const { matrix, part } = head;
      const blockBytes = layout.blockRows * matrix.k * formatBytes[matrix.format];
      const table = matrix.address + part.firstBlock * blockBytes;
      this.emit(layout.opEmbed, out.address, out.stride, table, matrix.format, op.width, matrix.order);
      this.scaleInPlace(out, op);
      return;
    }
    assert(this.instructions.length === 0, 'an embedding comes first');
    const format = formats[heldTable(this.program.numerics, this.options.dtype(op.weight))];
    this.tables.push({ op, format, ...out });
    this.scaleInPlace(out, op);
  }

  private scaleInPlace({ address, stride }: View, { width, scale }: EmbeddingOp): void {
    if (scale === undefined) return;
    this.emit(layout.opScale, address, stride, address, stride, roundUp(width, 4), floatBits(scale));
  }

  /** Runs of each of `groups` equal parts of a row of `width` elements. */
  private partRuns(plan: ReductionPlan, width: number, groups: number): PartRuns {
    const key = [plan.tile, plan.parts, plan.group, width, groups].join();
    let parts = this.runsOfParts.get(key);
    if (parts === undefined) {
      const runs = this.map.take(groups * runListBytes(plan), 'work');
      parts = { plan, width, groups, runs, bounds: this.map.take((groups + 1) * 4, 'work') };
      this.runsOfParts.set(key, parts);
    }
    return parts;
  }

  private lowerNorm(op: RmsNormOp): void {
    const x = this.view(op.input);
    const norm = this.partRuns(this.orders.of(op), op.width, op.groups);
    const weight = this.vector(op.weight, op.width / op.groups, op.offset);
    const out = this.define(op.out, op.width);
    const operands = [x.address, x.stride, weight, op.width / op.groups, op.groups, norm.bounds, floatBits(op.eps)];
    this.emit(layout.opNorm, out.address, out.stride, ...operands);
  }

  private lowerLinears(ops: readonly LinearOp[]): void {
    const matrix = this.matrixOf.get(ops[0]);
    assert(matrix !== undefined, 'every matrix was placed');
    const { k, format } = matrix;
    const x = this.view(ops[0].input);
    const blocks = matrix.parts.reduce((sum, { op }) => sum + Math.ceil(op.n / layout.blockRows), 0);
    const out = this.buffer(ops.map((op) => op.out).join('+'), blocks * layout.blockRows);
    for (const { op, firstBlock } of matrix.parts) {
      this.values.set(op.out, { address: out.address + firstBlock * layout.blockRows * 4, stride: out.stride });
    }
    // Small enough to share a matrix evenly, large enough to stream.
    const grain = Math.max(1, Math.min(16, blocks >> 5));
    if (format === layout.formatInt8) {
      const pairs = Math.ceil(k / 2);
      this.emit(layout.opQuantize, this.packed, pairs, x.address, x.stride, k, this.tokenScales);
      const operands = [
        this.packed,
        pairs,
        matrix.address,
        matrix.scales,
        this.tokenScales,
        0,
        blocks,
        matrix.bias,
        grain,
      ];
      this.emit(layout.opLinearInt8, out.address, out.stride, ...operands);
      return;
    }
    const { list, order } = this.runList(this.orders.of(ops[0]), k);
    this.emit(layout.opPack, this.packed, k, x.address, x.stride, order);
    const operands = [this.packed, k, matrix.address, format, list, 0, blocks, matrix.bias, grain];
    this.emit(layout.opLinear, out.address, out.stride, ...operands);
  }

  private lowerRope(op: RopeOp): void {
    const key = JSON.stringify([op.rope, op.headDim]);
    let table = this.ropeTables.get(key);
    if (table === undefined) {
      table = { op, address: this.map.take(this.options.maxContext * op.headDim * 4, 'work') };
      this.ropeTables.set(key, table);
    }
    const x = this.view(op.input);
    const out = this.define(op.out, op.heads * op.headDim);
    this.emit(layout.opRope, out.address, out.stride, x.address, x.stride, op.heads, op.headDim, table.address);
  }

  private lowerAttention(op: AttentionOp, layer: number): void {
    const q = this.view(op.q);
    const k = this.view(op.k);
    const v = this.view(op.v);
    assert(op.heads % op.kvHeads === 0, 'every KV head serves as many query heads');
    const blockBytes = cacheBlockBytes(op);
    const key = `cache ${layer} ${op.out}`;
    assert(!this.buffers.has(key), `attention ${op.out} appears once in layer ${layer}`);
    const cache = this.map.take(this.options.blocks * blockBytes, 'kv');
    this.buffers.set(key, cache);
    this.emit(layout.opCache, k.address, k.stride, v.address, v.stride, op.kvHeads, op.headDim, cache, blockBytes);
    const out = this.define(op.out, op.heads * op.headDim);
    const { parts, group } = this.orders.overPositions(op, 1);
    const operands = [q.address, q.stride, op.heads, op.kvHeads, op.headDim, cache, blockBytes, floatBits(op.scale)];
    const { bounds } = this.partRuns(this.orders.overChannels(op), op.kvHeads * op.headDim, op.kvHeads);
    const sinks = op.sinks === undefined ? 0 : this.vector(op.sinks, op.heads);
    this.emit(
      layout.opAttend,
      out.address,
      out.stride,
      ...operands,
      op.slidingWindow ?? 0,
      parts,
      group,
      bounds,
      ...capWords(op.softcap),
      sinks,
    );
  }
}

/**
 * Linear ops of a section that read the same value, to be run as one matrix: an op joins the first one if nothing
 * in between writes their input or reads or writes its own name.
 */
function groupLinears(ops: readonly Op[]): Map<LinearOp, readonly LinearOp[]> {
  const sets = new Map<LinearOp, readonly LinearOp[]>();
  for (const [at, first] of ops.entries()) {
    if (first.kind !== 'linear' || sets.has(first)) continue;
    const set: LinearOp[] = [first];
    for (const op of ops.slice(at + 1)) {
      if (op.kind === 'linear' && op.input === first.input && op.k === first.k && op.out !== op.input) set.push(op);
      if (op.out === first.input) break;
    }
    for (const op of set) sets.set(op, set);
  }
  return sets;
}
