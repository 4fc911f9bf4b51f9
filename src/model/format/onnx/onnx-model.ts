// An ONNX decoder as the weights of a shape. Pure: bytes come from the caller.

import { fail, formatCount } from '../../../core/index.ts';
import type { GqaShape, LlmShape } from '../../../spec/index.ts';
import { graphOf } from '../../arch/index.ts';
import type { WeightSource } from '../../graph.ts';
import type { ByteSource } from '../gguf-cursor.ts';
import { createProblems } from '../problems.ts';
import type { Step } from './attention.ts';
import { bindGraph, type Held } from './bind.ts';
import { evaluateGraph, MAX_VALUE_ELEMENTS, type Known } from './evaluate.ts';
import { readOnnxModel, type OnnxFileOptions, type OnnxModel, type OnnxNode } from './model-file.ts';
import { leastInputs, rules } from './rules.ts';
import { BOOL, INT64 } from './tensor.ts';
import { createView } from './view.ts';
import { onnxWeights } from './weights.ts';

/** Architectures whose graphs are read: grouped-query attention, a gated MLP, two norms per layer. */
export const onnxArchs = ['llama', 'mistral', 'qwen2', 'qwen3'];

export interface OnnxWeights {
  /** As the configuration says; but a head that is stored apart from the embedding is not tied to it. */
  readonly shape: LlmShape;
  /** Under Hugging Face names; block formats present themselves as f32. */
  readonly weights: WeightSource;
}

/**
 * Find the weights of `shape` in an ONNX file by what the graph does with them.
 * @param source the whole file; the graph is read now, weights when they are asked for
 * @throws IngotError ONNX_*
 */
export function readOnnxWeights(source: ByteSource, shape: LlmShape, options: OnnxFileOptions): OnnxWeights {
  const { where } = options;
  const { attention } = shape;
  if (!onnxArchs.includes(shape.arch) || attention.kind !== 'gqa') {
    return fail({
      code: 'ONNX_ARCH_UNSUPPORTED',
      message: 'models of this architecture are not read from ONNX files',
      where,
      expected: `one of ${onnxArchs.join(', ')}`,
      found: shape.arch,
      suggestion: 'use the safetensors or the GGUF release',
    });
  }
  const model = unfused(readOnnxModel(source, options));
  const logits = model.outputs.includes('logits') ? 'logits' : (model.outputs[0] ?? '');
  const needed = { ...model, nodes: neededNodes(model, logits, where) };
  const step = stepFor(model, shape, attention, where);
  const values = evaluateGraph(needed, assumed(model, attention, step, where));
  const view = createView(needed, values);
  const held = bindGraph(graphOf({ ...shape, tiedEmbeddings: false }), view, logits, step, where);
  const isTied = shape.tiedEmbeddings && isSameTable(held.get('model.embed_tokens.weight'), held.get('lm_head.weight'));
  if (isTied) held.delete('lm_head.weight');
  return { shape: { ...shape, tiedEmbeddings: isTied }, weights: onnxWeights(held) };
}

const SKIP_NORM = 'com.microsoft.SkipSimplifiedLayerNormalization';

/** The addition in ONNX Runtime's norm of a sum as an op of its own. One that adds a bias as well stays what it is. */
function unfused(model: OnnxModel): OnnxModel {
  const nodes = model.nodes.flatMap((node): OnnxNode[] => {
    const [x, skip, weight, bias = ''] = node.inputs;
    if (node.op !== SKIP_NORM || bias !== '' || weight === undefined) return [node];
    const [out, , , stated = ''] = node.outputs;
    // No name of a file has a line break.
    const sum = stated === '' ? `${out}\nsum` : stated;
    return [
      { ...node, op: 'Add', inputs: [x, skip], outputs: [sum], attributes: new Map() },
      { ...node, op: 'SimplifiedLayerNormalization', inputs: [sum, weight], outputs: [out] },
    ];
  });
  return { ...model, nodes };
}

/** Whether the head is the embedding itself; a copy of it, turned or in blocks, is a weight of its own. */
function isSameTable(embedding: Held | undefined, head: Held | undefined): boolean {
  if (embedding?.kind !== 'matrix' || head?.kind !== 'matrix') return false;
  const [a, b] = [embedding.matrix, head.matrix];
  return a.kind === 'plain' && b.kind === 'plain' && a.tensor === b.tensor && a.isTransposed === b.isTransposed;
}

/**
 * The nodes that the logits depend on, each behind those that it reads: converters put some at the end of the list.
 * @throws IngotError ONNX_OP_UNSUPPORTED for ops that nobody here knows, ONNX_MALFORMED; many at once
 */
function neededNodes(model: OnnxModel, logits: string, where: string): OnnxNode[] {
  const problems = createProblems();
  const nodes = inOrder(model, logits, where);
  for (const node of nodes.toReversed()) {
    if (Object.hasOwn(rules, node.op)) {
      const least = leastInputs(node.op);
      if (node.inputs.slice(0, least).filter((name) => name !== '').length === least) continue;
      problems.add({
        code: 'ONNX_MALFORMED',
        message: 'a node has fewer inputs than its op takes',
        where: `${where}, node ${node.name.slice(0, 200)} (${node.op})`,
        expected: String(least),
        found: String(node.inputs.length),
      });
      continue;
    }
    const hasGraph = [...node.attributes.values()].some(({ isGraph }) => isGraph === true);
    problems.add({
      code: 'ONNX_OP_UNSUPPORTED',
      message: hasGraph
        ? 'the logits depend on an op with a graph of its own'
        : 'the logits depend on an op that Ingot does not read',
      where: `${where}, node ${node.name.slice(0, 200)}`,
      found: node.op.slice(0, 100),
      suggestion: dynamicOps.has(node.op)
        ? 'use the fp32, fp16 or 4-bit file of this model: activations quantized as they come are not read'
        : 'export the model as one graph, with a known exporter, or use its safetensors release',
    });
  }
  problems.throwIfAny();
  return nodes;
}

/** Of files that transformers.js calls "quantized", made by ONNX Runtime's dynamic quantization. */
const dynamicOps = new Set(['DynamicQuantizeLinear', 'MatMulInteger']);

/** What a value depends on, in the order of a depth-first walk. @throws IngotError ONNX_MALFORMED where it depends on itself */
function inOrder(model: OnnxModel, value: string, where: string): OnnxNode[] {
  const writers = new Map(model.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const nodes: OnnxNode[] = [];
  const isDone = new Map<OnnxNode, boolean>();
  const path: { readonly node: OnnxNode; next: number }[] = [];
  const enter = (name: string): void => {
    const node = name === '' ? undefined : writers.get(name);
    if (node === undefined || isDone.get(node) === true) return;
    if (isDone.has(node)) {
      fail({
        code: 'ONNX_MALFORMED',
        message: 'a value depends on itself',
        where: `${where}, node ${node.name.slice(0, 200)} (${node.op.slice(0, 100)})`,
      });
    }
    isDone.set(node, false);
    path.push({ node, next: 0 });
  };
  enter(value);
  for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
    if (at.next < at.node.inputs.length) {
      enter(at.node.inputs[at.next++]);
      continue;
    }
    isDone.set(at.node, true);
    nodes.push(at.node);
    path.pop();
  }
  return nodes;
}

/** Tokens of the step for which the graph is looked at: few, but no number that tensors have by chance. */
const TOKENS = 7;
/** Cached tokens before them: angles that are far apart. */
const PAST = 1_021;
/** Tokens of a graph without a cache. */
const TOKENS_ALONE = 64;

const isCache = ({ dims }: { readonly dims?: readonly unknown[] }): boolean => dims?.length === 4;

/** A step that passes the window, if there is one. */
function stepFor(model: OnnxModel, shape: LlmShape, { slidingWindow = 0 }: GqaShape, where: string): Step {
  const { maxContext } = shape;
  const hasCache = model.inputs.some(isCache);
  const tokens = Math.min(hasCache ? TOKENS : Math.max(TOKENS_ALONE, slidingWindow + 2), Math.max(1, maxContext - 1));
  const past = hasCache ? Math.max(1, Math.min(Math.max(PAST, slidingWindow + 2), maxContext - tokens)) : 0;
  if (tokens * (past + tokens) <= MAX_VALUE_ELEMENTS) return { tokens, past };
  return fail({
    code: 'ONNX_LIMIT',
    message: 'the sliding window is too wide for its mask to be checked',
    where,
    expected: `a mask of at most ${formatCount(MAX_VALUE_ELEMENTS)} elements`,
    found: `${tokens} queries over ${past + tokens} keys`,
    suggestion: hasCache ? undefined : 'export the model with its cache (past_key_values)',
  });
}

/** What each input is in that step. @throws IngotError ONNX_INPUT, many at once */
function assumed(model: OnnxModel, attention: GqaShape, { tokens, past }: Step, where: string): Map<string, Known> {
  const problems = createProblems();
  const known = new Map<string, Known>();
  const row = (count: number, of: (i: number) => number): Known => ({
    type: INT64,
    dims: [1, count],
    data: Float64Array.from({ length: count }, (_, i) => of(i)),
  });
  const cache = [1, attention.kvHeads, past, attention.headDim];
  const byName: Readonly<Record<string, Known>> = {
    // Nothing is known of the tokens, so nothing is computed that depends on them.
    input_ids: { type: INT64, dims: [1, tokens] },
    attention_mask: row(past + tokens, () => 1),
    position_ids: row(tokens, (i) => past + i),
    cache_position: { ...row(tokens, (i) => past + i), dims: [tokens] },
    num_logits_to_keep: { type: INT64, dims: [], data: Float64Array.of(0) },
    use_cache_branch: { type: BOOL, dims: [1], data: Float64Array.of(1) },
  };
  for (const input of model.inputs) {
    const { name, dims } = input;
    if (Object.hasOwn(byName, name)) known.set(name, byName[name]);
    else if (isCache(input) && dims!.every((n, i) => n === undefined || i === 0 || i === 2 || n === cache[i]))
      known.set(name, { type: input.type, dims: cache });
    else {
      problems.add({
        code: 'ONNX_INPUT',
        message: isCache(input)
          ? 'a cache has other extents than the configuration asks for'
          : 'the graph has an input that Ingot does not know',
        where: `${where}, input ${name.slice(0, 200)}`,
        expected: isCache(input)
          ? `[batch, ${cache[1]}, past, ${cache[3]}]`
          : `${Object.keys(byName).join(', ')}, or a cache of rank 4`,
        found: `[${dims?.map((n) => n ?? '?').join(', ') ?? 'no extents'}]`,
      });
    }
  }
  if (!known.has('input_ids')) {
    problems.add({ code: 'ONNX_INPUT', message: 'the graph has no input for token ids', where, expected: 'input_ids' });
  }
  problems.throwIfAny();
  return known;
}
