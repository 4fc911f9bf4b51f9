// What a team asks before it moves a model to a wafer, as one document: which ops run how, what is held where and in which
// precision, where the cycles go, what does not fit and what would change that, and what nobody has checked.

import { formatCount, IngotError, type Diagnostic } from '../../../core/index.ts';
import type { Objective } from '../../../compiler/index.ts';
import { opsOf, weightSpecs, type Op, type WeightSpec } from '../../../model/index.ts';
import { kernelContext, priceAll, total, type Breakdown } from '../../../sim/index.ts';
import { findWafer, type LlmShape } from '../../../spec/index.ts';
import {
  formatOf,
  heldEmbedding,
  heldMatrix,
  heldTable,
  kernelsOf,
  kvTokensOf,
  notLowered,
  sectionPhases,
  wafersOf,
  type Numerics,
  type WeightFormat,
} from '../../../wafer/index.ts';
import {
  contextOf,
  DEFAULT_WAFER,
  placeModel,
  type OpenModel,
  type PlacedModel,
  type PlaceOptions,
} from '../../place.ts';
import { reportPlacement, type PeMemory, type StageReport } from './placement.ts';

export type Lowering = 'native' | 'closed form' | 'decomposed' | 'unsupported';

export interface PortedOp {
  readonly kind: string;
  /** Ops of the graph. */
  readonly count: number;
  readonly how: Lowering;
  readonly why: string;
}

export interface TensorClass {
  readonly role: WeightSpec['role'];
  readonly tensors: number;
  readonly parameters: number;
  readonly format: string;
  /** Scales included, padding to whole tiles not. */
  readonly bytes: number;
  /** Regions that hold a part of it; absent where the model does not fit. */
  readonly regions?: number;
}

export interface HotSpot {
  /** The values that the kernel writes. */
  readonly kernel: string;
  readonly kinds: readonly string[];
  readonly cycles: number;
  readonly share: number;
  /** The largest part of its cycles. */
  readonly dominated: CycleCause;
  readonly dominatedShare: number;
}

export interface HotSpots {
  readonly tokens: number;
  readonly cached: number;
  readonly cycles: number;
  readonly kernels: readonly HotSpot[];
  /** Cycles by cause, over all kernels. */
  readonly causes: Readonly<Record<CycleCause, number>>;
}

/** How a placement with one change compares. */
export interface Alternative {
  readonly change: string;
  /** Options of `ingot compile` that ask for it. */
  readonly options: string;
  readonly outcome?: Outcome;
  /** Why it does not fit either. */
  readonly refused?: Diagnostic;
}

export interface Outcome {
  readonly wafers: number;
  readonly secondsPerToken: number;
  /** Over as many sequences as there is KV for. */
  readonly tokensPerSecond: number;
  readonly kvTokensRoom: number;
}

export interface PortReport {
  readonly standing: 'simulated';
  readonly model: {
    readonly id: string;
    readonly name: string;
    readonly arch: string;
    readonly parameters: number;
    readonly layers: number;
  };
  readonly target: string;
  readonly numerics: Numerics;
  readonly kvTokens: number;
  readonly ops: readonly PortedOp[];
  readonly classes: readonly TensorClass[];
  /** Absent where the model does not fit. */
  readonly placement?: Outcome & {
    readonly regions: number;
    readonly fullest: PeMemory;
    readonly fullestHolds: Pick<StageReport, 'fromLayer' | 'toLayer' | 'hasEmbedding' | 'hasHead'>;
    readonly timeToFirstToken: number;
    readonly promptTokens: number;
  };
  readonly refused?: Diagnostic;
  readonly decode?: HotSpots;
  readonly prefill?: HotSpots;
  readonly alternatives: readonly Alternative[];
  readonly notChecked: readonly string[];
}

/** What the nine parts of a price are for a person who wants to know what to change. */
export const causesOf = {
  hops: ['hop', 'ramp'],
  wavelets: ['wavelet', 'step'],
  tasks: ['task'],
  elements: ['startup', 'element', 'loop'],
  divisions: ['division'],
} as const satisfies Readonly<Record<string, readonly (keyof Breakdown)[]>>;
export type CycleCause = keyof typeof causesOf;
const causeNames = Object.keys(causesOf) as readonly CycleCause[];

/** @param onTry told of each placement that is looked for */
export function reportPort(
  model: OpenModel,
  options: PlaceOptions,
  onTry: (what: string) => void = () => {},
): PortReport {
  const { graph } = model;
  onTry('as asked for');
  const base = attempt(model, options);
  const placed = 'placed' in base ? base.placed : undefined;
  const numerics = placed?.program.numerics ?? { ...model.numerics, ...options.numerics };
  const context = contextOf(graph, options.kvTokens);
  const { arch, layers } = graph.shape;
  return {
    standing: 'simulated',
    model: { id: model.id, name: model.name, arch, parameters: model.parameters, layers },
    target: placed?.wafer.name ?? findWafer(options.wafer ?? DEFAULT_WAFER).name,
    numerics,
    kvTokens: options.kvTokens,
    ops: portedOps(model, numerics),
    classes: tensorClasses(graph.shape, numerics, placed),
    ...(placed === undefined ? {} : { placement: placementOf(model, placed, options.kvTokens) }),
    ...('refused' in base ? { refused: base.refused } : {}),
    ...(placed === undefined
      ? {}
      : {
          decode: hotSpots(placed, 1, context - 1),
          prefill: hotSpots(placed, Math.min(placed.program.prefillChunk, context), 0),
        }),
    alternatives: alternatives(model, options, numerics, placed, onTry),
    notChecked: notChecked(model, numerics),
  };
}

const outcomeOf = ({ program, stepModel }: PlacedModel, kvTokens: number): Outcome => {
  const cached = contextOf(program.graph, kvTokens) - 1;
  return {
    wafers: wafersOf(program),
    secondsPerToken: stepModel.decode(cached).time,
    tokensPerSecond: stepModel.throughput(cached).tokensPerSecond,
    kvTokensRoom: kvTokensOf(program),
  };
};

function placementOf(model: OpenModel, placed: PlacedModel, kvTokens: number): NonNullable<PortReport['placement']> {
  const { placement, prefill } = reportPlacement(model, placed, { kvTokens, clockGiven: false, validation: [] });
  const fullest = placement.stages.reduce((most, stage) => (stage.memory.free < most.memory.free ? stage : most));
  const { fromLayer, toLayer, hasEmbedding, hasHead } = fullest;
  return {
    ...outcomeOf(placed, kvTokens),
    regions: placement.stages.length,
    fullest: fullest.memory,
    fullestHolds: { fromLayer, toLayer, hasEmbedding, hasHead },
    ...prefill,
  };
}

const refusals = new Set(['PROGRAM_DOES_NOT_FIT', 'OBJECTIVE_UNMET']);

function attempt(model: OpenModel, options: PlaceOptions): { placed: PlacedModel } | { refused: Diagnostic } {
  try {
    return { placed: placeModel(model, options) };
  } catch (error) {
    // Other errors are not about what fits.
    if (!(error instanceof IngotError) || !refusals.has(error.code)) throw error;
    return { refused: error.diagnostics[0] };
  }
}

/** Ops by how they become PE programs. */
export function portedOps({ graph }: OpenModel, numerics: Numerics): PortedOp[] {
  const lines = new Map<string, { kind: string; count: number; how: Lowering; why: string }>();
  for (const op of opsOf(graph)) {
    const { how, why } = loweringOf(op, numerics);
    const key = `${op.kind} ${how} ${why}`;
    const line = lines.get(key);
    if (line === undefined) lines.set(key, { kind: op.kind, count: 1, how, why });
    else line.count++;
  }
  const order: readonly Lowering[] = ['native', 'decomposed', 'closed form', 'unsupported'];
  const unsupported = graph.unsupported.map(
    (feature): PortedOp => ({
      kind: feature,
      count: 1,
      how: 'unsupported',
      why: 'sized and timed, but no executor computes it',
    }),
  );
  return [...lines.values(), ...unsupported].sort((a, b) => order.indexOf(a.how) - order.indexOf(b.how));
}

function loweringOf(op: Op, numerics: Numerics): { how: Lowering; why: string } {
  const without = withoutProgram(op, numerics);
  if (op.kind === 'moe') {
    const timed = without === undefined ? 'PE programs, simulated cycle by cycle' : `closed form only: ${without}`;
    return { how: 'decomposed', why: `router, choice and gated MLPs of the experts; ${timed}` };
  }
  if (without !== undefined) return { how: 'closed form', why: without };
  return { how: 'native', why: 'has a PE program, simulated cycle by cycle' };
}

/** Why an op has no PE program, where it has none. */
function withoutProgram(op: Op, numerics: Numerics): string | undefined {
  const wanted = notLowered(op);
  if (wanted !== undefined) return `PE programs exist for ${wanted}`;
  const role = op.kind === 'linear' ? op.role : op.kind === 'moe' ? 'expert' : undefined;
  const format = role === undefined ? undefined : heldMatrix(numerics, role);
  const own = floatOf(numerics);
  if (format === undefined || format === own) return undefined;
  return `weights in ${format}; PE programs multiply ${own} by ${numerics.activations}`;
}

const floatOf = ({ activations }: Numerics): WeightFormat => (activations === 'fp16' ? 'f16' : 'f32');

/** Format in which tensors of a role are held. Norms and biases are held as activations are. */
function formatOfRole(role: WeightSpec['role'], numerics: Numerics): WeightFormat {
  switch (role) {
    case 'norm':
    case 'bias':
      return floatOf(numerics);
    case 'embedding':
      return heldEmbedding(numerics, 'bf16');
    case 'router':
      return heldTable(numerics, 'bf16');
    default:
      return heldMatrix(numerics, role);
  }
}

function tensorClasses(shape: LlmShape, numerics: Numerics, placed: PlacedModel | undefined): TensorClass[] {
  const classes = new Map<
    WeightSpec['role'],
    { tensors: number; parameters: number; bytes: number; layers: Set<number | undefined> }
  >();
  for (const { role, shape: dims, layer } of weightSpecs(shape)) {
    const sum = classes.get(role) ?? { tensors: 0, parameters: 0, bytes: 0, layers: new Set() };
    const elements = dims.reduce((product, extent) => product * extent, 1);
    sum.tensors++;
    sum.parameters += elements;
    sum.bytes += heldBytes(dims, formatOfRole(role, numerics));
    sum.layers.add(layer);
    classes.set(role, sum);
  }
  const tied = classes.get('head') === undefined ? classes.get('embedding') : undefined;
  if (tied !== undefined) {
    const format = formatOfRole('head', numerics);
    const bytes = heldBytes([shape.vocab, shape.hidden], format);
    // The embedding is cut by rows on the first region and the head by columns on the last, so a tied one is held twice.
    classes.set('head', { tensors: 0, parameters: 0, bytes, layers: new Set([undefined]) });
  }
  return [...classes].map(([role, { tensors, parameters, bytes, layers }]) => {
    const holds = placed?.program.stages.filter(
      ({ fromLayer, toLayer, hasEmbedding, hasHead }) =>
        [...layers].some((layer) => layer !== undefined && layer >= fromLayer && layer < toLayer) ||
        (role === 'embedding' && hasEmbedding) ||
        (hasHead && (role === 'head' || (role === 'norm' && layers.has(undefined)))),
    );
    return {
      role,
      tensors,
      parameters,
      format: formatOfRole(role, numerics),
      bytes,
      ...(holds === undefined ? {} : { regions: holds.length }),
    };
  });
}

function heldBytes(dims: readonly number[], name: WeightFormat): number {
  const { bits, group, scaleBytes = 0 } = formatOf(name);
  const elements = dims.reduce((product, extent) => product * extent, 1);
  const k = dims.at(-1) ?? 1;
  const scales = group === undefined ? 0 : (elements / k) * (group === 'row' ? 1 : Math.ceil(k / group));
  return (elements * bits) / 8 + scales * scaleBytes;
}

/** Kernels listed, the rest is summed up. */
const MAX_SPOTS = 8;

/**
 * Cycles by kernel, over all layers, of a step of `tokens` of one sequence behind `cached`; without what regions take to
 * hand values on.
 */
function hotSpots({ program, wafer }: PlacedModel, tokens: number, cached: number): HotSpots {
  const { graph, numerics, stages } = program;
  const spots = new Map<string, { kinds: readonly string[]; cost: Breakdown }>();
  const known = new Map<string, readonly { kernel: string; cost: Breakdown }[]>();
  const section = (ops: readonly Op[], stage: (typeof stages)[number], layer = ''): void => {
    const { region, detours } = stage;
    // Layers that are alike on regions alike take equally long.
    const key = `${region.width} ${region.height} ${JSON.stringify(detours)} ${JSON.stringify(ops).replaceAll(layer, '')}`;
    let priced = known.get(key);
    if (priced === undefined) {
      const context = kernelContext(region, tokens, cached, numerics, detours);
      priced = sectionPhases(ops, 'y', context).map((phases) => ({
        kernel: phases.op,
        cost: priceAll([phases], wafer),
      }));
      known.set(key, priced);
    }
    const kinds = new Map(
      kernelsOf(ops).map((kernel) => [kernel.map(({ out }) => out).join('+'), kernel.map(({ kind }) => kind)]),
    );
    for (const { kernel, cost } of priced) {
      const spot = spots.get(kernel);
      if (spot === undefined)
        spots.set(kernel, { kinds: [...new Set(kinds.get(kernel) ?? ['turn'])], cost: { ...cost } });
      else for (const part of Object.keys(cost) as (keyof Breakdown)[]) spot.cost[part] += cost[part];
    }
  };
  for (const stage of stages) {
    if (stage.hasEmbedding) section(graph.prologue, stage);
    for (let layer = stage.fromLayer; layer < stage.toLayer; layer++)
      section(graph.layers[layer], stage, `model.layers.${layer}.`);
    if (stage.hasHead) section(graph.epilogue, stage);
  }
  const cycles = [...spots.values()].reduce((sum, { cost }) => sum + total(cost), 0);
  const byCause = (cost: Breakdown): Record<CycleCause, number> =>
    Object.fromEntries(
      causeNames.map((cause) => [cause, causesOf[cause].reduce((sum, part) => sum + cost[part], 0)]),
    ) as Record<CycleCause, number>;
  const kernels = [...spots]
    .map(([kernel, { kinds, cost }]): HotSpot => {
      const causes = byCause(cost);
      const own = total(cost);
      const dominated = causeNames.reduce((most, cause) => (causes[cause] > causes[most] ? cause : most));
      return {
        kernel,
        kinds,
        cycles: own,
        share: own / cycles,
        dominated,
        dominatedShare: own === 0 ? 0 : causes[dominated] / own,
      };
    })
    .sort((a, b) => b.cycles - a.cycles);
  const sums = [...spots.values()].map(({ cost }) => byCause(cost));
  const causes = Object.fromEntries(
    causeNames.map((cause) => [cause, sums.reduce((sum, each) => sum + each[cause], 0)]),
  ) as Record<CycleCause, number>;
  return { tokens, cached, cycles, kernels: kernels.slice(0, MAX_SPOTS), causes };
}

/** Where one change is not enough, or was asked not to be made. */
function together({ kvTokens, maxWafers, numerics }: PlaceOptions, { activations }: Numerics): Change[] {
  const small = { ...numerics, weights: 'int4-32', kv: 'int8' } as const;
  const few = Math.max(1, Math.floor(kvTokens / 2));
  return [
    {
      change: `int4, int8 KV, ${formatCount(few)} tokens`,
      options: `--weights int4 --activations ${activations} --kv int8 --context ${few}`,
      place: { numerics: small, kvTokens: few },
    },
    ...(maxWafers === undefined
      ? []
      : [
          { change: 'as many wafers as needed', options: 'no --wafers', place: { maxWafers: undefined } },
          {
            change: 'as many, weights in int8',
            options: 'no --wafers, --weights int8',
            place: { maxWafers: undefined, numerics: { ...numerics, weights: 'int8' } as const },
          },
        ]),
  ];
}

interface Change {
  readonly change: string;
  readonly options: string;
  readonly place: Partial<Omit<PlaceOptions, 'maxWafers'>> & { readonly maxWafers?: number | undefined };
}

/** Changes that may help, each placed by itself. */
function alternatives(
  model: OpenModel,
  options: PlaceOptions,
  numerics: Numerics,
  placed: PlacedModel | undefined,
  onTry: (what: string) => void,
): Alternative[] {
  const { kvTokens, objective = 'wafers' } = options;
  const bits = formatOf(numerics.weights).bits;
  const held = (change: Partial<Numerics>): Partial<PlaceOptions> => ({ numerics: { ...options.numerics, ...change } });
  const toward = (other: Objective): Change[] =>
    objective === other
      ? []
      : [{ change: `objective ${other}`, options: `--objective ${other}`, place: { objective: other } }];
  const changes: Change[] = [
    ...(bits > 8 ? [{ change: 'weights in int8', options: '--weights int8', place: held({ weights: 'int8' }) }] : []),
    ...(bits > 4
      ? [{ change: 'weights in int4', options: '--weights int4', place: held({ weights: 'int4-32' }) }]
      : []),
    ...(numerics.activations === 'fp32'
      ? [
          {
            change: 'fp16 activations',
            options: '--activations fp16',
            place: held({ activations: 'fp16', kv: 'fp16' }),
          },
        ]
      : []),
    ...(numerics.kv === 'int8'
      ? []
      : [{ change: 'KV cache in int8', options: '--kv int8', place: held({ kv: 'int8' }) }]),
    ...(kvTokens < 2
      ? []
      : [
          {
            change: `room for ${formatCount(Math.floor(kvTokens / 2))} tokens`,
            options: `--context ${Math.floor(kvTokens / 2)}`,
            place: { kvTokens: Math.floor(kvTokens / 2) },
          },
        ]),
    ...toward('latency'),
    ...toward('throughput'),
    ...(placed === undefined ? together(options, numerics) : []),
  ];
  return changes.map(({ change, options: words, place }): Alternative => {
    onTry(change);
    const { maxWafers: most, ...wanted } = { ...options, ...place };
    const found = attempt(model, most === undefined ? wanted : { ...wanted, maxWafers: most });
    const line = { change, options: words };
    if ('refused' in found) return { ...line, refused: found.refused };
    return { ...line, outcome: outcomeOf(found.placed, place.kvTokens ?? kvTokens) };
  });
}

/** What this report does not know, said so that nobody takes it for checked. */
function notChecked({ graph, checkpoint }: OpenModel, numerics: Numerics): string[] {
  const formats = [numerics.weights, ...Object.values(numerics.classes ?? {})];
  const mixture = opsOf(graph).some(({ kind }) => kind === 'moe');
  return [
    ...(checkpoint === undefined ? ['Weights: the model was sized by name; no tensor was read.'] : []),
    ...(formats.some((format) => formatOf(format).bits < 16)
      ? ['Quality of answers with weights of fewer bits: no evaluation was run.']
      : []),
    ...(numerics.activations === 'fp16'
      ? ['Values in fp16: programs with fp16 activations are sized and timed, not executed.']
      : []),
    'The whole model cycle by cycle: PE programs are simulated for single kernels and one layer ("ingot simulate"), on regions far smaller than these.',
    'Prefill against a measurement: none was published for this placement.',
    'Code size: the own kernels\' estimate. Defects of a wafer: see "ingot compile --defect-seed".',
    ...(mixture ? ['Which experts real prompts pick, and so how evenly they are loaded.'] : []),
    'A real wafer: nothing here ran on one.',
  ];
}
