// A program as JSON, and back. The graph is left out: it follows from the model's configuration, and what follows from
// something else should not be stored beside it. What is read may come from anywhere, so all of it is checked.

import { IngotError, type Diagnostic } from '../core/index.ts';
import { checkPruning, prunedGraph, type Graph, type Pruning } from '../model/index.ts';
import type { Wafer } from '../spec/index.ts';
import { requireStages } from './held-weights.ts';
import { weightClasses, type MemoryPlan, type Program, type Stage, type WeightClass } from './program.ts';
import { kvTypes, weightFormatNames, type WeightFormat } from './weight-formats.ts';

/** Everything of a program but its graph. */
export type ProgramFile = Omit<Program, 'graph'>;

export const programFile = ({ graph: _graph, ...rest }: Program): ProgramFile => rest;

/** Stages that one program may have: more than any model has layers. */
export const MAX_STAGES = 4096;
/** Hops: more than a line of PEs can lose to repair. */
const MAX_DETOUR = 1e6;
/** Problems that are told at once. */
const MAX_PROBLEMS = 8;

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isWhole = (value: unknown, least: number, most: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;

/**
 * A program from JSON, its stages checked against the graph and the wafer: every layer in exactly one stage, regions on
 * the wafer and apart, memory within a PE.
 * @throws IngotError PROGRAM_FILE_INVALID, several at once; PROGRAM_STAGES_INVALID
 */
export function parseProgram(json: unknown, graph: Graph, wafer: Wafer, where: string): Program {
  const problems: Diagnostic[] = [];
  const wrong = (at: string, message: string, expected?: string, found?: unknown): void => {
    if (problems.length < MAX_PROBLEMS)
      problems.push({
        code: 'PROGRAM_FILE_INVALID',
        message,
        where: `${where}, ${at}`,
        expected,
        ...(found === undefined ? {} : { found: (JSON.stringify(found) ?? String(found)).slice(0, 80) }),
      });
  };
  /** The values of an object with exactly these keys. */
  const object = (value: unknown, at: string, keys: readonly string[], optional: readonly string[] = []) => {
    if (!isRecord(value)) {
      wrong(at, 'this must be an object', keys.join(', '), value);
      return {};
    }
    for (const key of Object.keys(value)) {
      if (!keys.includes(key) && !optional.includes(key)) wrong(at, 'an unknown key', keys.join(', '), key);
    }
    return value;
  };
  const whole = (value: unknown, at: string, least: number, most: number): number => {
    if (isWhole(value, least, most)) return value;
    wrong(at, 'a number is out of range', `a whole number from ${least} to ${most}`, value);
    return least;
  };
  const oneOf = <T extends string>(value: unknown, at: string, choices: readonly T[]): T => {
    if (choices.includes(value as T)) return value as T;
    wrong(at, 'a value is not one of those that are known', choices.join(', '), value);
    return choices[0];
  };
  const flag = (value: unknown, at: string): boolean => {
    if (typeof value !== 'boolean') wrong(at, 'this must be true or false', undefined, value);
    return value === true;
  };

  const memoryOf = (value: unknown, at: string): MemoryPlan => {
    const parts = ['system', 'code', 'weights', 'padding', 'activations', 'kv'] as const;
    const plan = object(value, at, ['capacity', ...parts, 'kvPerToken'], ['kvTokens']);
    const bytes = (key: string): number => whole(plan[key], `${at}.${key}`, 0, wafer.sramPerPe);
    const memory = {
      capacity: bytes('capacity'),
      system: bytes('system'),
      code: bytes('code'),
      weights: bytes('weights'),
      padding: bytes('padding'),
      activations: bytes('activations'),
      kv: bytes('kv'),
      kvPerToken: whole(plan['kvPerToken'], `${at}.kvPerToken`, 0, wafer.sramPerPe),
      ...(plan['kvTokens'] === undefined
        ? {}
        : { kvTokens: whole(plan['kvTokens'], `${at}.kvTokens`, 0, Number.MAX_SAFE_INTEGER) }),
    };
    const sum = parts.reduce((all, part) => all + memory[part], 0);
    if (sum !== memory.capacity) wrong(at, 'the parts of the memory do not add up', `${memory.capacity} B`, sum);
    return memory;
  };
  const detoursOf = (value: unknown, at: string): NonNullable<Stage['detours']> => {
    const hops = object(value, at, ['x', 'y']);
    return { x: whole(hops['x'], `${at}.x`, 0, MAX_DETOUR), y: whole(hops['y'], `${at}.y`, 0, MAX_DETOUR) };
  };
  const classesOf = (value: unknown): Partial<Record<WeightClass, WeightFormat>> => {
    const classes = object(value, 'numerics.classes', [], weightClasses);
    return Object.fromEntries(
      weightClasses
        .filter((name) => classes[name] !== undefined)
        .map((name) => [name, oneOf(classes[name], `numerics.classes.${name}`, weightFormatNames)]),
    );
  };
  const pruningOf = (value: unknown): Pruning | undefined => {
    const isPattern = isRecord(value) && value['kind'] === 'pattern';
    const all = object(value, 'pruning', isPattern ? ['kind', 'keep', 'of'] : ['kind', 'share']);
    const kind = oneOf(all['kind'], 'pruning.kind', ['magnitude', 'pattern', 'channels'] as const);
    const number = (key: string): number => (typeof all[key] === 'number' ? all[key] : NaN);
    const made: Pruning =
      kind === 'pattern' ? { kind, keep: number('keep'), of: number('of') } : { kind, share: number('share') };
    try {
      return checkPruning(made, `${where}, pruning`);
    } catch (error) {
      if (!(error instanceof IngotError)) throw error;
      problems.push(...error.diagnostics);
      return undefined;
    }
  };
  const stageOf = (value: unknown, at: string): Stage => {
    const keys = ['wafer', 'region', 'groups', 'fromLayer', 'toLayer', 'hasEmbedding', 'hasHead', 'memory'];
    const stage = object(value, at, keys, ['detours']);
    const corner = object(stage['region'], `${at}.region`, ['x', 'y', 'width', 'height']);
    const width = whole(corner['width'], `${at}.region.width`, 1, wafer.programWidth);
    const height = whole(corner['height'], `${at}.region.height`, 1, wafer.programHeight);
    const groups = object(stage['groups'], `${at}.groups`, ['x', 'y']);
    return {
      wafer: whole(stage['wafer'], `${at}.wafer`, 0, MAX_STAGES),
      region: {
        x: whole(corner['x'], `${at}.region.x`, 0, wafer.programWidth - width),
        y: whole(corner['y'], `${at}.region.y`, 0, wafer.programHeight - height),
        width,
        height,
      },
      groups: {
        x: whole(groups['x'], `${at}.groups.x`, 1, width),
        y: whole(groups['y'], `${at}.groups.y`, 1, height),
      },
      fromLayer: whole(stage['fromLayer'], `${at}.fromLayer`, 0, graph.layers.length),
      toLayer: whole(stage['toLayer'], `${at}.toLayer`, 0, graph.layers.length),
      hasEmbedding: flag(stage['hasEmbedding'], `${at}.hasEmbedding`),
      hasHead: flag(stage['hasHead'], `${at}.hasHead`),
      memory: memoryOf(stage['memory'], `${at}.memory`),
      ...(stage['detours'] === undefined ? {} : { detours: detoursOf(stage['detours'], `${at}.detours`) }),
    };
  };

  const top = object(
    json,
    'program',
    ['format', 'version', 'target', 'model', 'numerics', 'prefillChunk', 'stages'],
    ['pruning'],
  );
  if (top['format'] !== 'ingot-program') wrong('format', 'this is not a program', 'ingot-program', top['format']);
  if (top['version'] !== 2) wrong('version', 'a version of programs that is not known', '2', top['version']);
  if (top['target'] !== wafer.id) wrong('target', 'the program is for another wafer', wafer.id, top['target']);
  if (typeof top['model'] !== 'string') wrong('model', 'this must be a text', undefined, top['model']);
  const numerics = object(top['numerics'], 'numerics', ['weights', 'activations', 'kv'], ['classes']);
  const listed = Array.isArray(top['stages']) ? top['stages'] : [];
  if (listed.length < 1 || listed.length > MAX_STAGES)
    wrong('stages', 'a program has stages', `1 to ${MAX_STAGES}`, listed.length);
  const stages = listed.slice(0, MAX_STAGES).map((stage, i) => stageOf(stage, `stages[${i}]`));
  const pruning = top['pruning'] === undefined ? undefined : pruningOf(top['pruning']);
  const program: Program = {
    format: 'ingot-program',
    version: 2,
    target: wafer.id,
    model: String(top['model']),
    graph: pruning === undefined ? graph : prunedGraph(graph, pruning),
    pruning,
    numerics: {
      weights: oneOf(numerics['weights'], 'numerics.weights', weightFormatNames),
      ...(numerics['classes'] === undefined ? {} : { classes: classesOf(numerics['classes']) }),
      activations: oneOf(numerics['activations'], 'numerics.activations', ['fp16', 'fp32']),
      kv: oneOf(numerics['kv'], 'numerics.kv', kvTypes),
    },
    prefillChunk: whole(top['prefillChunk'], 'prefillChunk', 1, 1024),
    stages,
  };
  if (problems.length === 0) checkPlaces(stages, wrong);
  if (problems.length > 0) throw new IngotError(problems);
  requireStages(program);
  return program;
}

/** Wafers follow one another; regions of a wafer do not overlap. */
function checkPlaces(
  stages: readonly Stage[],
  wrong: (at: string, message: string, expected?: string, found?: unknown) => void,
): void {
  let last = 0;
  stages.forEach(({ wafer, region }, i) => {
    if (wafer !== last && (i === 0 || wafer !== last + 1))
      wrong(`stages[${i}]`, 'wafers must follow one another', i === 0 ? '0' : `${last} or ${last + 1}`, wafer);
    last = wafer;
    const { x, y, width, height } = region;
    const overlapped = stages
      .slice(0, i)
      .findIndex(
        ({ wafer: on, region: r }) =>
          on === wafer && x < r.x + r.width && r.x < x + width && y < r.y + r.height && r.y < y + height,
      );
    if (overlapped >= 0) wrong(`stages[${i}]`, 'regions of a wafer overlap', 'regions apart', `stages[${overlapped}]`);
  });
}
