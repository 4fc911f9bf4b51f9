// One decoder layer for one token as one PE-level program: every op of the layer's graph becomes stages on the same PEs,
// weights and cache stay where they are, and one two-level tree along each axis does all sums.

import { assert, fail } from '../../core/index.ts';
import { ropeInverseFrequencies, ropeMagnitude, routerOp } from '../../model/index.ts';
import type { AttentionOp, LinearOp, Op, RmsNormOp, RopeOp } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import {
  addStage,
  gluStage,
  headNormStages,
  multiplyStage,
  rmsNormStages,
  ropeMemory,
  ropeStage,
  softcapStage,
} from '../kernel/stages.ts';
import { expVectors, exponentialMemory } from '../kernel/lower/exponential.ts';
import { attentionStages, type AttentionTile } from '../kernel/lower/attention-stages.ts';
import { appendStage, cacheImages, keyPitch, rowsOf, sendingRows, valuePitch } from '../kernel/lower/cached-rows.ts';
import { columnPitch, weightBank } from '../kernel/lower/columns.ts';
import { gatherAlong, pesOfMesh, positionAlong } from '../kernel/lower/lowering.ts';
import type { LoweredKernel, Slice, Tensors } from '../kernel/lower/lowering.ts';
import { sequence, type Mesh, type Stage } from '../kernel/lower/sequence.ts';
import { treeLine } from '../kernel/lower/tree-line.ts';
import type { MemoryImage, MemoryRequest } from '../machine/index.ts';
import type { VectorType } from '../phase.ts';
import { sectionGroups, sectionPhases } from '../plan.ts';
import type { Axis } from '../reduction.ts';
import { headLayouts, plainLayout, type Layout } from './layout.ts';
import { mixtureStages } from './mixture.ts';
import { notLowered } from './not-lowered.ts';

export interface LayerSpec extends Mesh {
  /** A layer of a graph: norm, projections, rotation, attention, MLP, residual sums. */
  readonly ops: readonly Op[];
  readonly type: VectorType;
  /** Positions that the token attends to. */
  readonly context: number;
  /** Whether the token's own key and value enter the cache and are attended to; else the cache holds all positions. */
  readonly append: boolean;
  /** PEs per group of the tree along y; and along x where every PE has whole heads or there is one head. */
  readonly group: (parts: number) => number;
}

/** A value of the graph on the PEs. */
interface Held {
  readonly at: Slice;
  readonly layout: Layout;
}

/** The axis along which a layer's input and outcome are cut. */
const inputAxis: Axis = 'y';

/**
 * Tensors: `x`; every weight and bias of the ops by name, as in the graph; `cacheK` and `cacheV` [positions, kvHeads ·
 * headDim], keys turned already. The outcome is the layer's `x`. Residual sums lie along y; projections turn a vector
 * from one axis to the other and back, so nothing is transposed. Heads lie along x, cached positions along y.
 *
 * With several heads of keys and values the groups of the tree along x are the PEs of a head, so that scores take its
 * lower level only.
 * @throws IngotError OP_NOT_LOWERED, LAYER_SHAPE
 */
export function lowerLayer(spec: LayerSpec, wafer: Wafer): LoweredKernel {
  const { ops, type, context, append, width, height } = spec;
  const attention = ops.find((op): op is AttentionOp => op.kind === 'attention');
  const first = ops[0];
  if (attention === undefined || first.kind !== 'rmsnorm')
    return refuse(first, 'a layer that begins with a norm and attends');
  for (const op of ops) {
    const expected = notLowered(op);
    if (expected !== undefined) return refuse(op, expected);
  }
  const heads = headLayouts(attention, 'x', width);
  const rows = rowsOf(height, context, append, attention.slidingWindow);
  const manyHeads = heads.sumsByHead;
  const groups = { x: spec.group(width), y: spec.group(height), ...sectionGroups(ops, inputAxis, spec) };
  const lines = {
    x: treeLine(spec, { axis: 'x', type, group: groups.x, groups: manyHeads }, wafer),
    y: treeLine(spec, { axis: 'y', type, group: groups.y, shifting: sendingRows(rows) }, wafer),
  };

  const memory: MemoryRequest[] = [];
  const images: ((tensors: Tensors) => Iterable<MemoryImage>)[] = [];
  const stages: Stage[] = [];
  const values = new Map<string, Held>();
  /** Elements of the longest exponential. */
  let exponents = 0;
  const partsAlong = (axis: Axis): number => (axis === 'x' ? width : height);
  const object = (name: string, length: number, bank: number): void => {
    const known = memory.findIndex((request) => request.name === name);
    if (known < 0) memory.push({ name, dtype: type, length, bank });
    else if (memory[known].length < length) memory[known] = { ...memory[known], length };
  };
  const valueOf = (name: string): Held => {
    const value = values.get(name);
    assert(value !== undefined, `${name} is written before it is read`);
    return value;
  };
  const write = (name: string, layout: Layout, bank: number): string => {
    object(name, layout.tile, bank);
    values.set(name, { at: { object: name, offset: 0 }, layout });
    return name;
  };
  /** A vector whose pieces lie as a layout says. */
  const vectorImages = (name: string, layout: Layout, tensor: string, change: (v: number) => number = (v) => v) =>
    images.push(function* (tensors) {
      const vector = tensors[tensor];
      const pieces = layout.elements.map((elements) =>
        Float64Array.from(elements, (element) => (element < 0 ? 0 : change(vector[element]))),
      );
      for (const [x, y] of pesOfMesh(spec))
        yield { x, y, object: name, values: pieces[positionAlong(layout.axis, x, y)] };
    });

  // q, k, v and what attention makes of them lie by heads; everything else in order.
  const byHeads = new Map<string, Layout>();
  const mark = (name: string, layout: Layout): void => {
    byHeads.set(name, layout);
    const writer = ops.find((op) => op.out === name);
    if (writer?.kind === 'rope' || writer?.kind === 'rmsnorm') mark(writer.input, layout);
  };
  mark(attention.q, heads.q);
  mark(attention.k, heads.k);
  mark(attention.v, heads.v);
  // The scores' scale is part of the weights of q, or of those of its norm.
  const queries = ops.filter(({ out }) => byHeads.get(out) === heads.q);
  const scaled = (queries.find(({ kind }) => kind === 'rmsnorm') ?? queries.find(({ kind }) => kind === 'linear'))?.out;
  const scaleOf = (name: string): number => (name === scaled ? attention.scale : 1);

  const residual = plainLayout(inputAxis, height, first.width);
  write('x', residual, residualBank);
  vectorImages('x', residual, 'x');

  const done = new Set<Op>();
  for (const op of ops) {
    if (done.has(op)) continue;
    switch (op.kind) {
      case 'rmsnorm': {
        const { at, layout } = valueOf(op.input);
        if (byHeads.has(op.input)) {
          normHeads(op);
          break;
        }
        if (op.groups !== 1) return refuse(op, 'a norm of whole vectors or whole heads');
        const w = `weight of ${op.out}`;
        object(w, layout.tile, 4);
        object('scaled', layout.tile, 0);
        object('squares', 1, 7);
        vectorImages(w, layout, op.weight, (v) => v + (op.offset ?? 0));
        const y = write(op.out, layout, 2);
        stages.push(
          ...rmsNormStages(
            { ...spec, length: layout.tile, size: op.width, eps: op.eps },
            { x: at.object, w, sum: 'squares', scaled: 'scaled', y },
            lines[layout.axis].allReduce('squares', 1),
          ),
        );
        break;
      }
      case 'linear': {
        const together = ops.filter((o): o is LinearOp => o.kind === 'linear' && o.input === op.input);
        for (const o of together) done.add(o);
        project(together);
        break;
      }
      case 'rope':
        rotate(op);
        break;
      case 'attention':
        attend(op);
        break;
      case 'glu': {
        const [gate, up] = [valueOf(op.gate), valueOf(op.up)];
        exponents = Math.max(exponents, gate.layout.tile);
        const y = write(op.out, gate.layout, 2);
        stages.push(gluStage(spec, gate.layout.tile, { gate: gate.at, up: up.at, y }, op.activation));
        break;
      }
      case 'moe': {
        const { at } = valueOf(op.input);
        const router = routerOp(op);
        project([router]);
        const {
          stages: mixed,
          layout,
          exponents: elements,
        } = mixtureStages(op, {
          ...spec,
          input: at.object,
          scores: router.out,
          object,
          image: (make) => images.push(make),
          allReduce: (axis, name, length) => lines[axis].allReduce(name, length),
        });
        exponents = Math.max(exponents, elements);
        stages.push(...mixed);
        values.set(op.out, { at: { object: op.out, offset: 0 }, layout });
        break;
      }
      case 'add': {
        const [a, b] = [valueOf(op.a), valueOf(op.b)];
        if (a.layout.axis !== b.layout.axis) return refuse(op, 'two vectors that lie alike');
        const y = write(op.out, a.layout, residualBank);
        stages.push(addStage(spec, a.layout.tile, { a: a.at.object, b: b.at.object, y }));
        break;
      }
      default:
        return refuse(op, 'an op of a dense layer');
    }
  }

  /** Matrices with one input, as one. */
  function project(together: readonly LinearOp[]): void {
    const { at, layout } = valueOf(together[0].input);
    const other: Axis = layout.axis === 'x' ? 'y' : 'x';
    const outs = together.map((o) => byHeads.get(o.out) ?? plainLayout(other, partsAlong(other), o.n));
    const nTile = outs.reduce((sum, { tile }) => sum + tile, 0);
    const kTile = layout.tile;
    const pitch = columnPitch(nTile, type);
    const y = together.map(({ out }) => out).join('+');
    const w = `weights of ${y}`;
    object(y, nTile, 0);
    object(w, kTile * pitch, weightBank[type]);
    let offset = 0;
    const members = together.map((o, i) => {
      values.set(o.out, { at: { object: y, offset }, layout: outs[i] });
      offset += outs[i].tile;
      return {
        op: o,
        layout: outs[i],
        first: offset - outs[i].tile,
        scale: scaleOf(o.out),
      };
    });
    images.push(function* (tensors) {
      const tensorsOf = members.map(({ op: o }) => tensors[o.weight]);
      const tile = new Float64Array(kTile * pitch);
      // In the order in which rows of the matrices lie in memory.
      for (const [px, py] of pesOfMesh(spec, layout.axis)) {
        const inputs = layout.elements[positionAlong(layout.axis, px, py)];
        members.forEach(({ op: o, layout: out, first: row, scale }, m) => {
          const weights = tensorsOf[m];
          const outputs = out.elements[positionAlong(other, px, py)];
          for (let j = 0; j < outputs.length; j++) {
            const from = (outputs[j] + (o.rows?.from ?? 0)) * o.k;
            for (let i = 0; i < kTile; i++)
              tile[i * pitch + row + j] = outputs[j] < 0 || inputs[i] < 0 ? 0 : weights[from + inputs[i]] * scale;
          }
        });
        yield { x: px, y: py, object: w, values: tile };
      }
    });
    stages.push(
      multiplyStage({ ...spec, kTile, nTile }, { x: at.object, w, y }),
      ...lines[layout.axis].allReduce(y, nTile),
    );
    if (!together.some((o) => o.bias !== undefined)) return;
    const bias = `bias of ${y}`;
    object(bias, nTile, 4);
    images.push(function* (tensors) {
      for (const [px, py] of pesOfMesh(spec)) {
        const tile = new Float64Array(nTile);
        for (const { op: o, layout: out, first: row, scale } of members)
          out.elements[positionAlong(other, px, py)].forEach((element, j) => {
            if (o.bias !== undefined && element >= 0) tile[row + j] = tensors[o.bias][element] * scale;
          });
        yield { x: px, y: py, object: bias, values: tile };
      }
    });
    stages.push(addStage(spec, nTile, { a: y, b: bias, y }));
  }

  /** Norms of the heads of q or of k. */
  function normHeads(op: RmsNormOp): void {
    const { at, layout } = valueOf(op.input);
    const lanes = layout.tile / heads.channels;
    const headDim = op.width / op.groups;
    const w = `weight of ${op.out}`;
    object(w, layout.tile, 4);
    object('scaled', layout.tile, 0);
    object('head squares', lanes, 7);
    images.push(function* (tensors) {
      const scale = scaleOf(op.out);
      const pieces = layout.elements.map((elements) =>
        Float64Array.from(elements, (element) =>
          element < 0 ? 0 : (tensors[op.weight][element % headDim] + (op.offset ?? 0)) * scale,
        ),
      );
      for (const [x, y] of pesOfMesh(spec)) yield { x, y, object: w, values: pieces[x] };
    });
    const y = write(op.out, layout, 0);
    stages.push(
      ...headNormStages(
        { ...spec, lanes, channels: heads.channels, size: headDim, eps: op.eps },
        { x: at, w, sums: 'head squares', scaled: 'scaled', y },
        overHead('head squares', lanes),
      ),
    );
  }

  /** Sums over the PEs of a head. */
  function overHead(name: string, length: number): Stage[] {
    if (heads.headParts === 1) return [];
    return manyHeads ? lines.x.allReduceGroups(name, length) : lines.x.allReduce(name, length);
  }

  function rotate(op: RopeOp): void {
    const { at, layout } = valueOf(op.input);
    const length = layout.tile / 2;
    for (const { name, bank = 0 } of ropeMemory(1, type)) object(name, length, bank);
    if (layout === heads.q) angleImages(op, length);
    const turned = write(op.out, layout, 0);
    stages.push(
      ropeStage(spec, length, {
        a: at,
        b: { object: at.object, offset: at.offset + length },
        turnedA: { object: turned, offset: 0 },
        turnedB: { object: turned, offset: length },
      }),
    );
  }

  /** Angles of the token's position, for every lane. */
  function angleImages(op: RopeOp, length: number): void {
    const position = append ? context - 1 : context;
    const frequencies = ropeInverseFrequencies(op.rope, op.headDim);
    const half = heads.channels / 2;
    for (const [name, of] of [
      ['cos', Math.cos],
      ['sin', Math.sin],
    ] as const)
      images.push(function* () {
        const angles = Array.from({ length: width }, (_, x) =>
          Float64Array.from({ length }, (__, i) => {
            const pair = heads.pair(x, i % half);
            return pair < 0 ? 0 : ropeMagnitude(op.rope) * of(position * frequencies[pair]);
          }),
        );
        for (const [x, y] of pesOfMesh(spec)) yield { x, y, object: name, values: angles[x] };
      });
  }

  function attend(op: AttentionOp): void {
    const [q, k, v] = [op.q, op.k, op.v].map(valueOf);
    const lanes = heads.heads * heads.queries;
    const most = rows.held(0);
    const tile: AttentionTile = {
      ...spec,
      axis: 'x',
      rows,
      tile: heads.heads * heads.channels,
      heads: heads.heads,
      queries: heads.queries,
      channels: heads.channels,
      keyIndex: heads.keyIndex,
      queryIndex: heads.queryIndex,
    };
    object('keys', tile.tile * keyPitch(tile), weightBank[type]);
    object('values', (most + 1) * valuePitch(tile), weightBank[type]);
    object('s', lanes * most, 0);
    object('most', lanes, 7);
    object('sum', lanes, 3);
    object('out', lanes * heads.channels, 0);
    exponents = Math.max(exponents, lanes * most + (op.sinks === undefined ? 0 : lanes));
    const { sinks, softcap } = op;
    if (sinks !== undefined) {
      object('sinks', lanes, 0);
      images.push(function* (tensors) {
        for (const [x, y] of pesOfMesh(spec)) {
          const scores = Float64Array.from(
            { length: lanes },
            (_, lane) => tensors[sinks][heads.queryHead(x, lane)] ?? 0,
          );
          yield { x, y, object: 'sinks', values: scores };
        }
      });
    }
    const kvWidth = op.kvHeads * op.headDim;
    images.push((tensors) => {
      const row =
        (name: string, { elements }: Layout) =>
        (position: number, part: number, channel: number) => {
          const element = elements[part][channel];
          return element < 0 ? 0 : tensors[name][position * kvWidth + element];
        };
      return cacheImages(tile, row('cacheK', heads.k), row('cacheV', heads.v));
    });
    if (append) stages.push(appendStage(tile, lines.y.shift, k.at, v.at, wafer));
    const scores = lanes * most;
    stages.push(
      ...attentionStages(
        tile,
        q.at.object,
        {
          scores: [
            ...overHead('s', scores),
            ...(softcap === undefined ? [] : [softcapStage(spec, { object: 's', length: scores, cap: softcap })]),
          ],
          maximum: lines.y.allReduce('most', lanes, 'max'),
          sum: lines.y.allReduce('sum', lanes),
          out: lines.y.allReduce('out', lanes * heads.channels),
        },
        sinks === undefined ? undefined : 'sinks',
      ),
    );
    values.set(op.out, { at: { object: 'out', offset: 0 }, layout: heads.out });
  }

  const result = valueOf(ops[ops.length - 1].out);
  const phases = sectionPhases(ops, inputAxis, {
    width,
    height,
    tokens: 1,
    cached: context - 1,
    type,
    expVectors,
    group: spec.group,
  }).flatMap((op) => op.phases);
  return {
    program: sequence(spec, [...memory, ...exponentialMemory(exponents, type)], stages, wafer),
    phases: append ? phases : phases.filter(({ name }) => name !== 'append'),
    *inputs(tensors) {
      for (const make of images) yield* make(tensors);
    },
    readback: (read) => gatherAlong(read, result.at.object, inputAxis, spec, first.width),
  };
}

/** Residual sums meet vectors that start in bank 0. */
const residualBank = 4;

const refuse = (op: Op, expected: string): never =>
  fail({ code: 'OP_NOT_LOWERED', message: `the ${op.kind} that writes "${op.out}" is not lowered to PEs`, expected });
