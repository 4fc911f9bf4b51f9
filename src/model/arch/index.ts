import { fail, nearest } from '../../core/index.ts';
import type { LlmShape } from '../../spec/index.ts';
import type { Graph } from '../graph.ts';
import type { Arch } from './arch.ts';
import { isJsonObject } from '../format/json.ts';
import { createConfigReader, show } from './config-reader.ts';
import { deepseekV3 } from './deepseek-v3.ts';
import { gemma2 } from './gemma-2.ts';
import { glm4Moe } from './glm4-moe.ts';
import { gptOss } from './gpt-oss.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { mixtral } from './mixtral.ts';
import { phi3 } from './phi-3.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';
import { qwen3Moe } from './qwen3-moe.ts';

export type { Arch } from './arch.ts';
export { dimensionLimits, inertKeys } from './config-reader.ts';

/** Every architecture by id. */
export const archs: readonly Arch[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  mixtral,
  qwen3Moe,
  gptOss,
  deepseekV3,
  glm4Moe,
  gemma2,
  phi3,
];

/**
 * The graph of a model of this shape.
 * @throws IngotError ARCH_UNKNOWN
 */
export function graphOf(shape: LlmShape): Graph {
  const arch = archs.find(({ id }) => id === shape.arch);
  if (arch === undefined) {
    const ids = archs.map(({ id }) => id);
    const close = nearest(shape.arch, ids);
    fail({
      code: 'ARCH_UNKNOWN',
      message: `the architecture '${shape.arch}' is not known`,
      expected: ids.join(', '),
      found: shape.arch,
      ...(close === undefined ? {} : { suggestion: `did you mean '${close}'?` }),
    });
  }
  return arch.graph(shape);
}

/**
 * Refuse a graph that is for sizing only.
 * @throws IngotError ARCH_UNSUPPORTED, naming what is missing
 */
export function requireExecutable(graph: Graph): void {
  if (graph.unsupported.length === 0) return;
  fail({
    code: 'ARCH_UNSUPPORTED',
    message: `the architecture '${graph.shape.arch}' is known by shape and cannot be executed yet`,
    expected: `one of ${executableTypes().join(', ')}`,
    found: graph.unsupported.join(', '),
    suggestion: 'its size and speed can be computed from the name of a model',
  });
}

const executableTypes = (): string[] =>
  archs.filter(({ parse }) => parse !== undefined).flatMap(({ hfModelTypes }) => hfModelTypes);

export interface ParsedConfig {
  readonly shape: LlmShape;
  readonly bosTokenId?: number;
  /** Any of them ends a text; empty if the configuration names none. */
  readonly eosTokenIds: readonly number[];
}

/**
 * Read a Hugging Face `config.json`, strictly: what changes the arithmetic is supported or refused.
 * @param where what to call the file in diagnostics
 * @throws IngotError CONFIG_INVALID, CONFIG_UNSUPPORTED (all of them at once), ARCH_UNKNOWN, ARCH_UNSUPPORTED
 */
export function parseConfig(config: unknown, where = 'config.json'): ParsedConfig {
  if (!isJsonObject(config)) {
    fail({ code: 'CONFIG_INVALID', message: 'the configuration is not an object', where, expected: 'a JSON object' });
  }
  const { parse } = archOfType(config['model_type'], where);
  const reader = createConfigReader(config, where);
  reader.architectures();
  const shape = parse(reader);
  const bosTokenId = reader.tokenIds('bos_token_id', shape.vocab);
  const eosTokenIds = reader.tokenIds('eos_token_id', shape.vocab);
  if (bosTokenId.length > 1) reader.invalid('bos_token_id', 'one token id', bosTokenId);
  reader.finish();
  return { shape, ...(bosTokenId.length === 1 ? { bosTokenId: bosTokenId[0] } : {}), eosTokenIds };
}

function archOfType(type: unknown, where: string): Arch & Required<Pick<Arch, 'parse'>> {
  if (typeof type !== 'string') {
    fail({
      code: 'CONFIG_INVALID',
      message: "the key 'model_type' does not name an architecture",
      where: `${where}: model_type`,
      expected: `one of ${executableTypes().join(', ')}`,
      found: type === undefined ? 'nothing' : show(type),
    });
  }
  const arch = archs.find(({ hfModelTypes }) => hfModelTypes.includes(type));
  if (arch === undefined) {
    const close = nearest(
      type,
      archs.flatMap(({ hfModelTypes }) => hfModelTypes),
    );
    fail({
      code: 'ARCH_UNKNOWN',
      message: 'this architecture is not known',
      where: `${where}: model_type`,
      expected: `one of ${executableTypes().join(', ')}`,
      found: show(type),
      ...(close === undefined ? {} : { suggestion: `did you mean '${close}'?` }),
    });
  }
  const { parse } = arch;
  if (parse === undefined) {
    fail({
      code: 'ARCH_UNSUPPORTED',
      message: `the architecture '${arch.id}' is known by shape and cannot be executed yet`,
      where: `${where}: model_type`,
      expected: `one of ${executableTypes().join(', ')}`,
      found: show(type),
      suggestion: 'its size and speed can be computed from the name of a model',
    });
  }
  return { ...arch, parse };
}
