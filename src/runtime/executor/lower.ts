// A program as instructions for the WASM kernels, with an address for everything. Nothing is executed here: the
// same lowering sizes the memory, so an estimate and an executor cannot disagree.

import { assert } from '../../core/index.ts';
import { headOf, ropePart, valueHeadDim } from '../../model/index.ts';
import type { AttentionOp, EmbeddingOp, HeadLinearOp, LinearOp, Op, RmsNormOp, RopeOp } from '../../model/index.ts';
import { groupOf, heldEmbedding, heldMatrix, ordersOf } from '../../wafer/index.ts';
import type { Program, ReductionPlan, WeightFormat } from '../../wafer/index.ts';
import * as layout from '../wasm/layout.ts';
import { lowerMixture, routeScratchBytes } from './lower-experts.ts';
import { activations, floatBits, formatBytes, formats, grainOf, kvFormats, rowBytes } from './lowered.ts';
import { createMemoryMap, roundUp, type MemoryMap } from './memory-map.ts';
import type {
  Addresses,
  GroupOffsets,
  HeadMatrixLoad,
  LowerOptions,
  Lowered,
  LoweringTools,
  MatrixLoad,
  PartRuns,
  RopeLoad,
  RunsLoad,
  TableLookup,
  VectorLoad,
  View,
} from './lowered.ts';

/** Parts of a row of `width` elements; absent `step` and `length`: equal ones without gaps. */
interface Parts {
  readonly width: number;
  readonly groups: number;
  readonly step?: number;
  readonly length?: number;
}

/** Half a megabyte of rows at a time, or one block where that is more. */
const stagingRowsBytes = 512 * 1024;

/** A soft cap and one over it; 0 for none. */
const capWords = (cap: number | undefined): number[] =>
  cap === undefined ? [0, 0] : [floatBits(cap), floatBits(1 / Math.fround(cap))];

/** Bytes that one block of a layer's cache takes: keys, then values padded to whole vectors, unless the keys are both. */
export const cacheBlockBytes = (op: AttentionOp): number =>
  op.kvHeads * layout.blockTokens * 4 * (op.headDim + (op.latent === undefined ? roundUp(op.headDim, 4) : 0));
/** Enough for the runs over any range: three chains a group, and two short tiles. */
const runListBytes = (plan: ReductionPlan): number =>
  layout.runListHeader + (3 * Math.ceil(plan.parts / plan.group) + 2) * layout.runBytes;

/** Lower `program` for a number of rows, blocks and threads. */
export function lower(program: Program, options: LowerOptions): Lowered {
  return new Lowering(program, options).finish();
}

class Lowering implements LoweringTools {
  readonly program: Program;
  readonly options: LowerOptions;
  private readonly map: MemoryMap = createMemoryMap(layout.controlBytes);
  readonly orders: ReturnType<typeof ordersOf>;
  private readonly buffers = new Map<string, number>();
  private readonly runLists = new Map<string, RunsLoad>();
  private readonly groupOffsets = new Map<string, GroupOffsets>();
  private readonly runsOfParts = new Map<string, PartRuns>();
  private readonly ropeTables = new Map<string, RopeLoad>();
  private readonly vectors = new Map<string, VectorLoad>();
  private readonly matrices: MatrixLoad[] = [];
  private readonly headMatrices: HeadMatrixLoad[] = [];
  private readonly tables: TableLookup[] = [];
  private readonly matrixOf = new Map<LinearOp, MatrixLoad>();
  private values = new Map<string, View>();
  private instructions: Uint32Array[] = [];
  private rows: number;
  private section: 'body' | 'epilogue' = 'body';
  readonly packed: number;
  private readonly tokenScales: number;
  private widestK = 1;

  constructor(program: Program, options: LowerOptions) {
    this.program = program;
    this.options = options;
    this.orders = ordersOf(program);
    this.rows = options.rows;
    for (const op of this.allOps()) for (const k of widthsOf(op)) this.widestK = Math.max(this.widestK, k);
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
    const sets = groups.get(graph.epilogue);
    assert(sets !== undefined, 'the epilogue was grouped');
    let hiddenInstructions = 0;
    let hidden = wanted;
    for (const op of graph.epilogue) {
      if (op === headOf(graph)) {
        hiddenInstructions = this.instructions.length;
        hidden = this.view(op.input);
      }
      this.lowerOp(op, graph.layers.length, sets);
    }
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
      hidden: hidden.address,
      hiddenStride: hidden.stride,
      stagingBytes,
      staging: map.take(2 * stagingBytes, 'work'),
    };
    return {
      totalBytes: map.total,
      bytesByUse: map.byUse,
      body,
      epilogue,
      hiddenInstructions,
      matrices: this.matrices,
      headMatrices: this.headMatrices,
      tables: this.tables,
      vectors: [...this.vectors.values()],
      runs: [...this.runLists.values()],
      groupOffsets: [...this.groupOffsets.values()],
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

  /** Private memory of the threads: accumulators, runs of a context, scores, and panels with their sums or a head's result. */
  private scratch(): Pick<Addresses, 'scratch' | 'scratchBytes' | 'scoresOffset' | 'valueRowsOffset' | 'panelOffset'> {
    const { map, options } = this;
    const attentions = this.allOps().filter((op) => op.kind === 'attention');
    const contextRuns = Math.max(0, ...attentions.map((op) => runListBytes(this.orders.overPositions(op, 1))));
    const scoresOffset = roundUp(layout.contextRunsOffset + contextRuns, 64);
    // A window may start anywhere in a block, so the scores can take one block more than the context.
    const valueRowsOffset = scoresOffset + (roundUp(options.maxContext, layout.blockTokens) + layout.blockTokens) * 4;
    const panelOffset = valueRowsOffset + roundUp(options.maxContext * 4, 64);
    const headBytes = Math.max(0, ...attentions.map((op) => roundUp(op.headDim, 4) * 4));
    const routeBytes = Math.max(0, ...this.allOps().map((op) => (op.kind === 'moe' ? routeScratchBytes(op) : 0)));
    const pairs = Math.ceil(Math.max(options.rows, options.wantedRows) / layout.tokenPair);
    const matrixBytes = this.widestK * layout.blockRows * 4 + 2 * pairs * layout.pairAccumulatorBytes;
    const panelBytes = Math.max(matrixBytes, headBytes, routeBytes);
    const scratchBytes = roundUp(panelOffset + panelBytes, 64);
    return {
      scratch: map.take(scratchBytes * options.threads, 'work'),
      scratchBytes,
      scoresOffset,
      valueRowsOffset,
      panelOffset,
    };
  }

  emit(op: number, ...operands: number[]): void {
    const words = new Uint32Array(layout.instructionBytes / 4);
    words.set([op, ...operands]);
    this.instructions.push(words);
  }

  view(name: string): View {
    const view = this.values.get(name);
    assert(view !== undefined, `value ${name} is read before it is written`);
    return view;
  }

  /** The buffer of a value; layers share it, since a value lives for one layer only. */
  buffer(name: string, width: number): View {
    const stride = rowBytes(width);
    const bytes = roundUp(this.rows, layout.tokenGroup) * stride;
    return { address: this.shared(`${this.section} ${name} ${width}`, bytes), stride };
  }

  shared(key: string, bytes: number): number {
    const known = this.buffers.get(key);
    if (known !== undefined) return known;
    const address = this.map.take(bytes, 'work');
    this.buffers.set(key, address);
    return address;
  }

  define(name: string, width: number): View {
    const view = this.buffer(name, width);
    this.values.set(name, view);
    return view;
  }

  vector(name: string, length: number, offset = 0): number {
    const known = this.vectors.get(name);
    if (known !== undefined) return known.address;
    const address = this.map.take(length * 4, 'weights');
    this.vectors.set(name, { name, length, offset, address });
    return address;
  }

  runList(plan: ReductionPlan, length: number): RunsLoad {
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
    const [load] = this.addMatrices([ops], heldMatrix(this.program.numerics, ops[0].role), this.orders.of(ops[0]));
    for (const op of ops) this.matrixOf.set(op, load);
  }

  /** Where the scales of each element's group lie, for an order of elements. */
  private offsetsOf(order: number, length: number, group: number): number {
    const key = [order, length, group].join();
    let offsets = this.groupOffsets.get(key);
    if (offsets === undefined)
      this.groupOffsets.set(key, (offsets = { order, length, group, address: this.map.take(length * 4, 'work') }));
    return offsets.address;
  }

  addMatrices(sets: readonly (readonly LinearOp[])[], held: WeightFormat, plan: ReductionPlan): readonly MatrixLoad[] {
    const format = formats[held];
    const [first] = sets;
    const { k } = first[0];
    const blocks = first.reduce((sum, op) => sum + Math.ceil(op.n / layout.blockRows), 0);
    const bytes = blocks * layout.blockRows * roundUp(k, 2) * formatBytes[format];
    const outputBytes = blocks * layout.blockRows * 4;
    const isInt8 = format === layout.formatInt8;
    const address = this.map.take(sets.length * bytes, 'weights');
    const group = groupOf(held, k);
    const scaleBytes = group === 0 ? 0 : Math.ceil(k / group) * layout.blockRows * 4;
    const scales = group === 0 ? 0 : this.map.take(sets.length * blocks * scaleBytes, 'weights');
    const hasBias = first.some((op) => op.bias !== undefined);
    const bias = hasBias ? this.map.take(sets.length * outputBytes, 'weights') : 0;
    const order = isInt8 ? 0 : this.runList(plan, k).order;
    const groupOffsets = format === layout.formatInt4 ? this.offsetsOf(order, k, group) : 0;
    const loads = sets.map((ops, i): MatrixLoad => {
      let firstBlock = 0;
      const parts = ops.map((op) => {
        const part = { op, firstBlock };
        firstBlock += Math.ceil(op.n / layout.blockRows);
        return part;
      });
      return {
        format,
        k,
        blocks,
        bytes,
        address: address + i * bytes,
        scales: group === 0 ? 0 : scales + i * blocks * scaleBytes,
        scaleBytes,
        group,
        groupOffsets,
        bias: hasBias ? bias + i * outputBytes : 0,
        order,
        parts,
      };
    });
    for (const load of loads) this.matrices.push(load);
    return loads;
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
      case 'head-linear':
        return this.lowerHeadLinear(op);
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
        return lowerMixture(op, this);
    }
  }

  private lowerEmbedding(op: EmbeddingOp): void {
    const out = this.define(op.out, op.width);
    const held = heldEmbedding(this.program.numerics, this.options.dtype(op.weight));
    // Blocks with scales are not read row by row.
    const shared = this.matrices.flatMap((matrix) =>
      matrix.format === formats[held] && matrix.group === 0 ? matrix.parts.map((part) => ({ matrix, part })) : [],
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
    this.tables.push({ op, format: held, ...out });
    this.scaleInPlace(out, op);
  }

  private scaleInPlace({ address, stride }: View, { width, scale }: EmbeddingOp): void {
    if (scale === undefined) return;
    this.emit(layout.opScale, address, stride, address, stride, roundUp(width, 4), floatBits(scale));
  }

  /** Runs of each part of a row. */
  private partRuns(plan: ReductionPlan, { width, groups, step = width / groups, length = step }: Parts): PartRuns {
    const key = [plan.tile, plan.parts, plan.group, groups, step, length].join();
    let parts = this.runsOfParts.get(key);
    if (parts === undefined) {
      const runs = this.map.take(groups * runListBytes(plan), 'work');
      parts = { plan, groups, step, length, runs, bounds: this.map.take((groups + 1) * 4, 'work') };
      this.runsOfParts.set(key, parts);
    }
    return parts;
  }

  private lowerNorm(op: RmsNormOp): void {
    const x = this.view(op.input);
    const passed = op.passed ?? 0;
    const norm = this.partRuns(this.orders.of(op), { width: op.width, groups: op.groups });
    const weight = this.vector(op.weight, op.width / op.groups, op.offset);
    const out = this.define(op.out, op.width + passed);
    const operands = [x.address, x.stride, weight, op.width / op.groups, op.groups, norm.bounds, floatBits(op.eps)];
    this.emit(layout.opNorm, out.address, out.stride, ...operands, passed * 4);
  }

  private lowerLinears(ops: readonly LinearOp[]): void {
    const matrix = this.matrixOf.get(ops[0]);
    assert(matrix !== undefined, 'every matrix was placed');
    const { k, format, blocks } = matrix;
    const x = this.view(ops[0].input);
    const out = this.buffer(ops.map((op) => op.out).join('+'), blocks * layout.blockRows);
    for (const { op, firstBlock } of matrix.parts) {
      this.values.set(op.out, { address: out.address + firstBlock * layout.blockRows * 4, stride: out.stride });
    }
    const grain = grainOf(blocks);
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
    const scaling = [0, matrix.scales, 0, matrix.scaleBytes, matrix.groupOffsets];
    this.emit(layout.opLinear, out.address, out.stride, ...operands, ...scaling);
  }

  private lowerHeadLinear(op: HeadLinearOp): void {
    const { heads, k, n, passed } = op;
    const x = this.view(op.input);
    const out = this.define(op.out, heads * (n + passed));
    const bytes = heads * Math.ceil(n / layout.blockRows) * layout.blockRows * k * 4;
    const address = this.map.take(bytes, 'weights');
    this.headMatrices.push({ op, address });
    const step = op.isSpread ? 0 : k + passed;
    const { bounds } = this.partRuns(this.orders.of(op), {
      width: heads * (k + passed),
      groups: heads,
      step,
      length: k,
    });
    const operands = [x.address, x.stride, heads, k, passed, n, address, bounds, Number(op.isSpread)];
    this.emit(layout.opHeadLinear, out.address, out.stride, ...operands);
  }

  private lowerRope(op: RopeOp): void {
    const { from, width } = ropePart(op);
    const key = JSON.stringify([op.rope, width]);
    let table = this.ropeTables.get(key);
    if (table === undefined) {
      table = { op, address: this.map.take(this.options.maxContext * width * 4, 'work') };
      this.ropeTables.set(key, table);
    }
    const x = this.view(op.input);
    const out = this.define(op.out, op.heads * op.headDim);
    this.emit(
      layout.opRope,
      out.address,
      out.stride,
      x.address,
      x.stride,
      op.heads,
      op.headDim,
      table.address,
      from,
      width,
      Number(op.neighbours === true),
    );
  }

  private lowerAttention(op: AttentionOp, layer: number): void {
    const q = this.view(op.q);
    const k = this.view(op.k);
    const v = this.view(op.latent === undefined ? op.v : op.k);
    assert(op.heads % op.kvHeads === 0, 'every KV head serves as many query heads');
    const blockBytes = cacheBlockBytes(op);
    const key = `cache ${layer} ${op.out}`;
    assert(!this.buffers.has(key), `attention ${op.out} appears once in layer ${layer}`);
    const cache = this.map.take(this.options.blocks * blockBytes, 'kv');
    this.buffers.set(key, cache);
    this.emit(
      layout.opCache,
      k.address,
      k.stride,
      v.address,
      v.stride,
      op.kvHeads,
      op.headDim,
      cache,
      blockBytes,
      Number(op.latent !== undefined),
      kvFormats[this.program.numerics.kv],
    );
    const out = this.define(op.out, op.heads * valueHeadDim(op));
    const { parts, group } = this.orders.overPositions(op, 1);
    const operands = [q.address, q.stride, op.heads, op.kvHeads, op.headDim, cache, blockBytes, floatBits(op.scale)];
    const { bounds } = this.partRuns(this.orders.overChannels(op), {
      width: op.kvHeads * op.headDim,
      groups: op.kvHeads,
    });
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
      op.latent?.valueHeadDim ?? 0,
    );
  }
}

/** Widths over which the matrices of an op add. */
const widthsOf = (op: Op): readonly number[] =>
  op.kind === 'linear' ? [op.k] : op.kind === 'moe' ? [op.width, op.expertFfn] : [];

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
      if (
        op.kind === 'linear' &&
        op.input === first.input &&
        op.k === first.k &&
        op.role === first.role &&
        op.out !== op.input
      )
        set.push(op);
      if (op.out === first.input) break;
    }
    for (const op of set) sets.set(op, set);
  }
  return sets;
}
