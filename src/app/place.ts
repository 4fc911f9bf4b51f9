// A model by folder or by name, and its place on wafers: graph → program → step model. What every command that
// needs a program shares.

import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';

import { fail, hertz, didYouMean, type Hertz } from '../core/index.ts';
import { isArtifactFile, openArtifact, type Manifest } from '../compiler/index.node.ts';
import { runPipeline, type Detours, type Objective, type Pass, type Search } from '../compiler/index.ts';
import { openCheckpoint, type Checkpoint } from '../model/index.node.ts';
import {
  graphOf,
  parameterCount,
  weightSpecs,
  type DType,
  type Graph,
  type Pruning,
  type WeightSource,
} from '../model/index.ts';
import { createPlacementCost, createStepModel, type AnalyticStepModel } from '../sim/index.ts';
import { findLlm, findWafer, llms, resolveWafer, type Wafer, type WaferFacts } from '../spec/index.ts';
import type { Numerics, Program, Region } from '../wafer/index.ts';

/** A model to place: of a folder, with weights, or of `spec/llm`, with its shape only. */
export interface OpenModel {
  /** Short name: the id in `spec/llm`, or the folder's name. */
  readonly id: string;
  readonly name: string;
  readonly graph: Graph;
  readonly parameters: number;
  /** What it is computed in where nobody says otherwise. */
  readonly numerics: Numerics;
  /** Absent for a model by name. Whoever opened the model closes it. */
  readonly checkpoint?: Checkpoint;
  /** Of an artifact: the program that was compiled, and what the file says of itself. */
  readonly compiled?: { readonly program: Program; readonly manifest: Manifest };
}

/** The checkpoint that ships with Ingot. */
export const shippedCheckpoint = join(import.meta.dirname, '..', '..', 'checkpoint');

/**
 * A path is a checkpoint or an artifact; a word is a name of `spec/llm`, or else one of those of that name.
 * @throws IngotError of openCheckpoint and openArtifact; MODEL_UNKNOWN
 */
export function openModel(reference: string): OpenModel {
  if (isArtifactFile(reference)) return openCompiled(reference);
  if (/[/\\]|^\.+$/.test(reference)) return openFolder(reference);
  if (Object.hasOwn(llms, reference)) return openShape(reference);
  if (existsSync(reference)) return openFolder(reference);
  return fail({
    code: 'MODEL_UNKNOWN',
    message: 'this is neither a known model nor a file or folder',
    where: reference,
    expected: 'a name that "ingot models" lists, a folder with a checkpoint, a GGUF or ONNX file, or an artifact',
    suggestion: didYouMean(reference, Object.keys(llms)) ?? 'see "ingot models"',
  });
}

function openShape(id: string): OpenModel {
  const { name, shape } = findLlm(id);
  return {
    id,
    name,
    graph: graphOf(shape),
    parameters: parameterCount(shape),
    numerics: SHAPE_NUMERICS,
  };
}

/** An artifact. @throws IngotError of openArtifact */
export function openCompiled(file: string): OpenModel & Required<Pick<OpenModel, 'compiled'>> {
  const { program, graph, manifest, checkpoint } = openArtifact(file);
  return {
    id: program.model,
    name: manifest.llm === undefined ? program.model : findLlm(manifest.llm).name,
    graph,
    parameters: parameterCount(graph.shape),
    numerics: program.numerics,
    compiled: { program, manifest },
    checkpoint,
  };
}

/** What a model by name is computed in where nobody says otherwise. */
const SHAPE_NUMERICS: Numerics = { weights: 'f16', activations: 'fp16', kv: 'fp16' };

/** What an artifact was made from, to be placed anew: its checkpoint as it is stored, or its shape. Other models are that already. */
export function uncompiled(model: OpenModel): OpenModel {
  const { compiled, checkpoint, ...rest } = model;
  if (compiled === undefined) return model;
  if (checkpoint === undefined) return { ...rest, numerics: SHAPE_NUMERICS };
  const { graph, shape, weights } = checkpoint;
  return { ...rest, graph, parameters: parameterCount(shape), numerics: storedNumerics(weights, graph), checkpoint };
}

/**
 * A model with weights: a folder, a GGUF file, or an artifact.
 * @throws IngotError of openCheckpoint and openArtifact; ARTIFACT_WITHOUT_WEIGHTS
 */
export function openFolder(dir: string): OpenModel & { readonly checkpoint: Checkpoint } {
  if (isArtifactFile(dir)) {
    const { checkpoint, ...model } = openCompiled(dir);
    if (checkpoint !== undefined) return { ...model, checkpoint };
    return fail({
      code: 'ARTIFACT_WITHOUT_WEIGHTS',
      message: 'the artifact was compiled from the shape of a model, and has no weights',
      where: dir,
      suggestion: 'compile a checkpoint, or serve the shape with --emulate',
    });
  }
  const checkpoint = openCheckpoint(dir);
  const { graph, shape, weights } = checkpoint;
  const id = basename(resolve(dir));
  return {
    id,
    name: id,
    graph,
    parameters: parameterCount(shape),
    numerics: storedNumerics(weights, graph),
    checkpoint,
  };
}

/** What the executor computes: weights as they are stored, all else in fp32. */
const storedNumerics = (weights: WeightSource, graph: Graph): Numerics => ({
  weights: storedType(weights, graph),
  activations: 'fp32',
  kv: 'fp32',
});

/** The element type that most weights are stored in. */
function storedType(weights: WeightSource, graph: Graph): DType {
  const counts = new Map<DType, number>();
  for (const { name, shape } of weightSpecs(graph.shape)) {
    const type = weights.dtype(name);
    const elements = shape.reduce((product, size) => product * size, 1);
    counts.set(type, (counts.get(type) ?? 0) + elements);
  }
  return [...counts].reduce((most, next) => (next[1] > most[1] ? next : most))[0];
}

/** Where nobody names another. */
export const DEFAULT_WAFER = 'wse3';

export interface PlaceOptions {
  /** Id in `spec/wafer`; by default that of an artifact, or `DEFAULT_WAFER`. */
  readonly wafer?: string | undefined;
  /** Cached tokens, over all sequences, that must fit. */
  readonly kvTokens: number;
  /** What replaces the model's own. */
  readonly numerics?: Partial<Numerics>;
  /** What is left out of the weights. */
  readonly pruning?: Pruning;
  readonly maxWafers?: number;
  readonly mesh?: { readonly width: number; readonly height: number };
  /** Default: 'wafers'. */
  readonly objective?: Objective;
  /** Seconds that one output token of one user may take. */
  readonly maxLatency?: number;
  /** Replaces the wafer's clock. */
  readonly clockGHz?: number;
  /** Detours of a region on the repaired wafers that the program runs on; none when absent. */
  readonly detours?: (region: Region) => Detours;
  /** Is told of each pass that has run. */
  readonly watch?: (pass: Pass, shown: () => unknown) => void;
}

/** The longest context of one sequence with room for this many cached tokens. */
export const contextOf = (graph: Graph, kvTokens: number): number => Math.min(kvTokens, graph.shape.maxContext);

export interface PlacedModel {
  readonly program: Program;
  readonly wafer: Wafer;
  readonly facts: WaferFacts;
  readonly clock: Hertz;
  readonly stepModel: AnalyticStepModel;
  /** The placements that were looked at; absent where the program came from an artifact. */
  readonly search?: Search;
}

/**
 * Compile a model and give it a step model. Placements are compared at the longest context, by the closed form. Of an
 * artifact, the program is the one in it, on its own wafer: of the other options, only the clock counts.
 * @throws IngotError WAFER_UNKNOWN, ARTIFACT_OTHER_WAFER; of compile
 */
export function placeModel(
  model: Pick<OpenModel, 'id' | 'graph' | 'numerics' | 'compiled'>,
  options: PlaceOptions,
): PlacedModel {
  const { id, graph, compiled } = model;
  const { wafer: asked, numerics: changes, clockGHz, watch, ...wanted } = options;
  const target = compiled?.program.target;
  if (target !== undefined && asked !== undefined && asked !== target)
    fail({
      code: 'ARTIFACT_OTHER_WAFER',
      message: 'the artifact is compiled for another wafer',
      where: '--wafer',
      expected: target,
      found: asked,
      suggestion: 'leave --wafer out, or compile the checkpoint for that wafer',
    });
  const facts = findWafer(target ?? asked ?? DEFAULT_WAFER);
  const wafer = resolveWafer(facts);
  const numerics = { ...model.numerics, ...changes };
  const clock = clockGHz === undefined ? wafer.clock : hertz(clockGHz * 1e9);
  if (compiled !== undefined) {
    const { program } = compiled;
    return { program, wafer, facts, clock, stepModel: createStepModel(program, wafer, clock) };
  }
  const cost = createPlacementCost(graph, numerics, wafer, clock);
  const { program, search } = runPipeline({ ...wanted, model: id, graph, wafer, numerics, cost }, watch);
  return { program, wafer, facts, clock, stepModel: createStepModel(program, wafer, clock), search };
}
