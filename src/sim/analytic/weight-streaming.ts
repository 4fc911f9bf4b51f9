// Weight streaming: the model lives outside the wafers and comes in layer by layer, the same bytes to all systems at
// once; activations stay. It is how training runs, and the only way to run a model that fits no allowed number of wafers.
// Compute is the cyclic-shift GEMM plan that published prefill rows are compared with.

import { seconds, type Seconds } from '../../core/index.ts';
import { weightSpecs } from '../../model/index.ts';
import type { ClusterFacts, LlmShape, Wafer } from '../../spec/index.ts';
import { expVectors, groupSize, shiftPrefillPhases, type VectorType } from '../../wafer/index.ts';
import { priceAll, total } from './price.ts';

export interface StreamingRun {
  readonly shape: LlmShape;
  /** Of the whole model; a share of them are in its layers. */
  readonly parameters: number;
  readonly systems: number;
  /** Sequences that each system works on in one step, and their tokens. */
  readonly sequences: number;
  readonly length: number;
  readonly type: VectorType;
}

/** One step of training over all systems. */
export interface TrainingStep {
  readonly step: Seconds;
  readonly tokensPerSecond: number;
  /** One layer on one system, forward; backward takes `backwardWork` times as much. */
  readonly layerCompute: Seconds;
  /** One layer's weights into all systems, or its gradients out of them. */
  readonly layerTransfer: Seconds;
  /** Activations inside layers do not fit and are computed again on the way back. */
  readonly recompute: boolean;
  readonly backwardWork: 2 | 3;
  /** Share of the step in which the wafers wait for weights or gradients. */
  readonly waiting: number;
  /** Tokens per system from which a forward layer computes as long as its weights take to come. */
  readonly balance: number;
  readonly memory: StreamingMemory;
}

/** Bytes of one system's program rectangle. */
export interface StreamingMemory {
  readonly capacity: number;
  readonly reserved: number;
  /** Two layers, or two of the largest matrix of any: one in use, one on its way. */
  readonly weights: number;
  readonly streamed: 'layers' | 'matrices';
  /** Between layers, kept for the way back. */
  readonly boundaries: number;
  /** Inside all layers, kept for the way back, or inside one where they are computed again. */
  readonly inside: number;
}

const BYTES: Readonly<Record<VectorType, number>> = { fp16: 2, fp32: 4 };

/** Widths of a layer as GEMMs see them: experts count by those that a token passes. */
function widths(shape: LlmShape): { readonly hidden: number; readonly qkv: number; readonly ffn: number } {
  const { hidden, attention, mlp } = shape;
  const qkv =
    attention.kind === 'gqa'
      ? (attention.heads + 2 * attention.kvHeads) * attention.headDim
      : attention.heads * (attention.nopeHeadDim + attention.ropeHeadDim + attention.valueHeadDim);
  const ffn = mlp.kind === 'dense' ? mlp.ffn : mlp.activeExperts * mlp.expertFfn + mlp.sharedExperts * mlp.sharedFfn;
  return { hidden, qkv, ffn };
}

/** The square of PEs that GEMMs run on: the plan shifts tiles around equal sides. */
export const gemmSide = (wafer: Wafer): number => Math.min(wafer.programWidth, wafer.programHeight);

const attentionOps = new Set(['scores', 'softmax', 'weighted values']);

/** Cycles of one layer, forward, for some sequences: matrices take all tokens together, attention each sequence alone. */
export function layerCycles(
  shape: LlmShape,
  sequences: number,
  length: number,
  type: VectorType,
  wafer: Wafer,
): number {
  const side = gemmSide(wafer);
  const of = (tokens: number) =>
    shiftPrefillPhases(
      { tokens, ...widths(shape) },
      { width: side, height: side, tokens, cached: 0, type, group: groupSize, expVectors },
    );
  const matrices = of(sequences * length).filter(({ op }) => !attentionOps.has(op));
  const attention = of(length).filter(({ op }) => attentionOps.has(op));
  return total(priceAll(matrices, wafer)) + sequences * total(priceAll(attention, wafer));
}

/** Bytes of the average layer, with all its experts. The embedding and the head are streamed like a layer's share. */
const layerBytes = ({ shape, parameters, type }: Pick<StreamingRun, 'shape' | 'parameters' | 'type'>): number =>
  (parameters / shape.layers) * BYTES[type];

const transferOf = (bytes: number, wafer: Wafer, cluster: ClusterFacts): number =>
  bytes / (wafer.ioPerDirection * cluster.storeRate.value);

/**
 * What a step needs when activations inside layers are computed again: the least it can do with. Weights come by whole
 * layers, or matrix by matrix where two layers and one sequence do not fit.
 */
export function streamingMemory(run: StreamingRun, wafer: Wafer): StreamingMemory {
  return memoryOf(run, wafer, true);
}

function memoryOf(run: StreamingRun, wafer: Wafer, recompute: boolean): StreamingMemory {
  const least = memoryBy('layers', { ...run, sequences: 1 }, wafer, true);
  return memoryBy(overOf(least) > 0 ? 'matrices' : 'layers', run, wafer, recompute);
}

/** Bytes of the largest matrix of any layer; of experts, of one of them. */
const matrixBytes = ({ shape, type }: StreamingRun): number =>
  BYTES[type] *
  Math.max(
    ...weightSpecs(shape)
      .filter(({ role }) => role !== 'embedding' && role !== 'head')
      .map(({ shape: extents }) => extents.reduce((product, n) => product * n, 1)),
  );

function memoryBy(
  streamed: StreamingMemory['streamed'],
  run: StreamingRun,
  wafer: Wafer,
  recompute: boolean,
): StreamingMemory {
  const { shape, sequences, length, type } = run;
  const { hidden, qkv, ffn } = widths(shape);
  const tokens = sequences * length;
  const pes = gemmSide(wafer) ** 2;
  // Of one token in one layer: two norms, qkv, attention's output, gate, up and their product.
  const inside = (3 * hidden + qkv + 3 * ffn) * BYTES[type] * tokens;
  return {
    capacity: pes * wafer.sramPerPe,
    reserved: pes * wafer.reservedSram,
    weights: 2 * (streamed === 'layers' ? layerBytes(run) : matrixBytes(run)),
    streamed,
    boundaries: shape.layers * tokens * hidden * BYTES[type],
    inside: recompute ? inside : inside * shape.layers,
  };
}

export const overOf = ({ capacity, reserved, weights, boundaries, inside }: StreamingMemory): number =>
  reserved + weights + boundaries + inside - capacity;

/**
 * A step of training by data parallelism: every system has sequences of its own and all get the same weights. Forward,
 * a layer computes while the next one's weights come. Backward, weights come in again while the gradients of the layer
 * before go out, added up on the way by the tree; the store updates the weights beside.
 * @returns undefined where the activations of so many sequences do not fit
 */
export function trainingStep(run: StreamingRun, wafer: Wafer, cluster: ClusterFacts): TrainingStep | undefined {
  const { shape, systems, sequences, length, type } = run;
  const recompute = overOf(memoryOf(run, wafer, false)) > 0;
  const memory = memoryOf(run, wafer, recompute);
  if (overOf(memory) > 0) return undefined;
  const transfer = transferOf(layerBytes(run), wafer, cluster);
  const compute = layerCycles(shape, sequences, length, type, wafer) / wafer.clock;
  const backwardWork = recompute ? 3 : 2;
  const latency = cluster.treeHops.value * wafer.ioLatency;
  const forward = transfer + latency + (shape.layers - 1) * Math.max(compute, transfer) + compute;
  const backward =
    transfer +
    latency +
    (shape.layers - 1) * Math.max(backwardWork * compute, transfer) +
    backwardWork * compute +
    transfer;
  const step = forward + backward;
  const busy = shape.layers * compute * (1 + backwardWork);
  return {
    step: seconds(step),
    tokensPerSecond: (systems * sequences * length) / step,
    layerCompute: seconds(compute),
    layerTransfer: seconds(transfer),
    recompute,
    backwardWork,
    waiting: 1 - busy / step,
    balance: balanceTokens(run, transfer, wafer),
    memory,
  };
}

/** Sequences of `length` grow in number until a layer computes as long as its transfer; the least number of tokens. */
function balanceTokens({ shape, length, type }: StreamingRun, transfer: number, wafer: Wafer): number {
  const busy = (sequences: number): boolean =>
    layerCycles(shape, sequences, length, type, wafer) / wafer.clock >= transfer;
  let high = 1;
  while (!busy(high)) high *= 2;
  let low = high >> 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (busy(middle)) high = middle;
    else low = middle;
  }
  return high * length;
}

/** Decoding with streamed weights: every step waits for the whole model. */
export interface StreamedDecode {
  /** Between two tokens of a sequence. */
  readonly step: Seconds;
  readonly tokensPerSecondPerUser: number;
}

/** An upper bound: transfer alone, with no compute counted. */
export function streamedDecode(
  run: Pick<StreamingRun, 'shape' | 'parameters' | 'type'>,
  wafer: Wafer,
  cluster: ClusterFacts,
): StreamedDecode {
  const step =
    cluster.treeHops.value * wafer.ioLatency + run.shape.layers * transferOf(layerBytes(run), wafer, cluster);
  return { step: seconds(step), tokensPerSecondPerUser: 1 / step };
}
