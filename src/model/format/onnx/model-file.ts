// An ONNX file as lists: nodes with their attributes, initializers where they lie, inputs and outputs. Works on bytes that
// nobody vouches for. Field numbers: onnx.proto3 of https://github.com/onnx/onnx.

import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

import { fail, formatCount, IngotError } from '../../../core/index.ts';
import type { ByteSource } from '../gguf-cursor.ts';
import { createProblems, type Problems } from '../problems.ts';
import { elementsOf, elementTypes, tensorOf, type OnnxTensor } from './tensor.ts';
import { createWire, wireTypes, type Field, type Wire } from './wire.ts';

/** A decoder of 128 layers, every norm and rotation in single ops, has some 20,000. */
export const MAX_NODES = 65_536;
/** With scales and zero points of every projection of 128 layers: under 4,000. */
export const MAX_INITIALIZERS = 65_536;
/** Exporters join the names of nested modules; a few hundred characters are seen. */
export const MAX_NAME_BYTES = 4_096;
/** A node with its attributes. Exporters keep larger constants as initializers. */
export const MAX_NODE_BYTES = 2 ** 20;
/** All nodes together; the largest exports come in under 10 MB. */
export const MAX_GRAPH_BYTES = 2 ** 26;
/** Inputs or outputs of a node, numbers of an attribute. */
export const MAX_NODE_VALUES = 4_096;
/** Caches of keys and values of 128 layers are 256 of them. */
export const MAX_GRAPH_VALUES = 4_096;
export const MAX_DIMENSIONS = 8;
/** Elements that a tensor may list one by one instead of as bytes. */
export const MAX_LISTED_BYTES = 2 ** 20;
/** Files beside the model. */
export const MAX_EXTERNAL_FILES = 1_024;

export interface Attribute {
  readonly float?: number;
  readonly int?: number;
  readonly text?: string;
  readonly tensor?: OnnxTensor;
  readonly ints?: readonly number[];
  readonly floats?: readonly number[];
  readonly isGraph?: true;
}

export interface OnnxNode {
  readonly name: string;
  /** With its domain, where that is not ONNX's own: `com.microsoft.MatMulNBits`. */
  readonly op: string;
  /** Names of values; empty where an optional one is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
}

export interface OnnxInput {
  readonly name: string;
  readonly type: number;
  /** Absent: no shape is stated. Undefined extents are open. */
  readonly dims?: readonly (number | undefined)[];
}

export interface OnnxModel {
  /** In an order in which every value is written before it is read. */
  readonly nodes: readonly OnnxNode[];
  readonly initializers: ReadonlyMap<string, OnnxTensor>;
  readonly inputs: readonly OnnxInput[];
  readonly outputs: readonly string[];
}

export interface OnnxFileOptions {
  /** Name of the file, for messages. */
  readonly where: string;
  /** A file beside the model, by the name that the model has for it; checked to stay in the folder. */
  external(location: string): ByteSource;
}

/** @throws IngotError ONNX_MALFORMED, ONNX_LIMIT, ONNX_UNSUPPORTED, ONNX_TENSOR (many at once) */
export function readOnnxModel(source: ByteSource, options: OnnxFileOptions): OnnxModel {
  const wire = createWire(source, options.where);
  let graph: Field | undefined;
  for (const field of wire.fields(0, source.bytes)) {
    if (field.number === 7 && field.wire === wireTypes.bytes) graph = field;
    else if (field.number === 25) {
      fail({
        code: 'ONNX_UNSUPPORTED',
        message: 'the model defines functions of its own',
        where: options.where,
        suggestion: 'inline them (onnx.inliner.inline_local_functions), or export again',
      });
    }
  }
  if (graph === undefined) {
    fail({
      code: 'ONNX_MALFORMED',
      message: 'the file has no graph',
      where: options.where,
      expected: 'an ONNX model',
      suggestion: 'fetch the file again',
    });
  }
  return readGraph(wire, graph, source, options);
}

function readGraph(wire: Wire, graph: Field, source: ByteSource, options: OnnxFileOptions): OnnxModel {
  const nodes: OnnxNode[] = [];
  const initializers = new Map<string, OnnxTensor>();
  const inputs: OnnxInput[] = [];
  const outputs: string[] = [];
  const problems = createProblems();
  let graphBytes = 0;
  const limited = (count: number, most: number, what: string): void => {
    if (count < most) return;
    fail({
      code: 'ONNX_LIMIT',
      message: `the graph has more ${what} than Ingot reads`,
      where: options.where,
      expected: `at most ${formatCount(most)}`,
    });
  };
  for (const field of wire.fields(graph.begin, graph.end)) {
    if (field.number === 1) {
      limited(nodes.length, MAX_NODES, 'nodes');
      graphBytes += field.end - field.begin;
      limited(graphBytes, MAX_GRAPH_BYTES, 'bytes of nodes');
      nodes.push(readNode(wire.bytes(field, 'a node', MAX_NODE_BYTES), nodes.length, options.where));
    } else if (field.number === 5) {
      limited(initializers.size, MAX_INITIALIZERS, 'initializers');
      const tensor = readInitializer(wire, field, source, options, problems);
      if (tensor !== undefined) initializers.set(tensor.name, tensor);
    } else if (field.number === 11) {
      limited(inputs.length, MAX_GRAPH_VALUES, 'inputs');
      inputs.push(readInput(wire, field));
    } else if (field.number === 12) {
      limited(outputs.length, MAX_GRAPH_VALUES, 'outputs');
      outputs.push(readInput(wire, field).name);
    } else if (field.number === 15) {
      problems.add({
        code: 'ONNX_UNSUPPORTED',
        message: 'the graph has a sparse initializer',
        where: options.where,
        suggestion: 'export it as a dense one',
      });
    }
  }
  problems.throwIfAny();
  const written = new Set<string>(initializers.keys());
  const isInput = new Set(inputs.map(({ name }) => name));
  for (const node of nodes) {
    for (const output of node.outputs) {
      if (output === '') continue;
      if (written.has(output) || isInput.has(output)) {
        fail({
          code: 'ONNX_MALFORMED',
          message: 'a value is written twice',
          where: `${options.where}, node ${node.name}`,
          found: output.slice(0, 100),
        });
      }
      written.add(output);
    }
  }
  return { nodes, initializers, inputs: inputs.filter(({ name }) => !initializers.has(name)), outputs };
}

/** A message of a few kilobytes at most; what is wrong with its bytes becomes a diagnostic. */
function readSmall<T>(where: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof IngotError) throw error;
    return fail({
      code: 'ONNX_MALFORMED',
      message: 'a message of the file cannot be read',
      where,
      found: error instanceof Error ? error.message.slice(0, 100) : undefined,
      suggestion: 'fetch the file again',
    });
  }
}

function readNode(bytes: Uint8Array, index: number, where: string): OnnxNode {
  return readSmall(`${where}, node ${index}`, () => {
    const reader = new BinaryReader(bytes);
    const inputs: string[] = [];
    const outputs: string[] = [];
    const attributes = new Map<string, Attribute>();
    let [name, type, domain] = ['', '', ''];
    while (reader.pos < reader.len) {
      const [field, kind] = reader.tag();
      if (kind !== WireType.LengthDelimited) reader.skip(kind, field);
      else if (field === 1 || field === 2)
        boundedPush(field === 1 ? inputs : outputs, boundedText(reader, where), where);
      else if (field === 3) name = boundedText(reader, where);
      else if (field === 4) type = boundedText(reader, where);
      else if (field === 5) {
        const [key, value] = readAttribute(reader.bytes(), `${where}, node ${index}`);
        attributes.set(key, value);
      } else if (field === 7) domain = boundedText(reader, where);
      else reader.skip(kind, field);
    }
    return {
      name: name === '' ? `number ${index}` : name,
      op: domain === '' || domain === 'ai.onnx' ? type : `${domain}.${type}`,
      inputs,
      outputs,
      attributes,
    };
  });
}

function readAttribute(bytes: Uint8Array, where: string): readonly [string, Attribute] {
  const reader = new BinaryReader(bytes);
  let name = '';
  const ints: number[] = [];
  const floats: number[] = [];
  const value: { -readonly [K in keyof Attribute]: Attribute[K] } = {};
  while (reader.pos < reader.len) {
    const [field, kind] = reader.tag();
    if (field === 1 && kind === WireType.LengthDelimited) name = boundedText(reader, where);
    else if (field === 2 && kind === WireType.Bit32) value.float = reader.float();
    else if (field === 3 && kind === WireType.Varint) value.int = Number(reader.int64());
    else if (field === 4 && kind === WireType.LengthDelimited) value.text = boundedText(reader, where);
    else if (field === 5 && kind === WireType.LengthDelimited) value.tensor = readInlineTensor(reader.bytes(), where);
    else if (field === 7) repeated(reader, kind, floats, () => reader.float(), where);
    else if (field === 8) repeated(reader, kind, ints, () => Number(reader.int64()), where);
    else {
      if (field === 6 || field === 11) value.isGraph = true;
      reader.skip(kind, field);
    }
  }
  if (ints.length > 0) value.ints = ints;
  if (floats.length > 0) value.floats = floats;
  return [name, value];
}

/** Numbers one by one, or packed. */
function repeated(reader: BinaryReader, kind: WireType, into: number[], next: () => number, where: string): void {
  if (kind !== WireType.LengthDelimited) {
    boundedPush(into, next(), where);
    return;
  }
  const end = reader.uint32() + reader.pos;
  if (end > reader.len) throw new RangeError('packed numbers pass the end');
  while (reader.pos < end) boundedPush(into, next(), where);
}

function boundedPush<T>(list: T[], item: T, where: string): void {
  if (list.length >= MAX_NODE_VALUES) {
    fail({
      code: 'ONNX_LIMIT',
      message: 'a node lists more than Ingot reads',
      where,
      expected: `at most ${formatCount(MAX_NODE_VALUES)}`,
    });
  }
  list.push(item);
}

function boundedText(reader: BinaryReader, where: string): string {
  const text = reader.string();
  if (text.length <= MAX_NAME_BYTES) return text;
  return fail({
    code: 'ONNX_LIMIT',
    message: 'a name is longer than Ingot reads',
    where,
    expected: `at most ${formatCount(MAX_NAME_BYTES)} bytes`,
  });
}

/** A tensor within a node. */
function readInlineTensor(bytes: Uint8Array, where: string): OnnxTensor {
  const source: ByteSource = {
    bytes: bytes.length,
    read: (target, position) => target.set(bytes.subarray(position, position + target.length)),
  };
  const wire = createWire(source, where);
  const problems = createProblems();
  const whole = { number: 5, wire: wireTypes.bytes, value: 0, begin: 0, end: bytes.length };
  const external = (): never =>
    fail({ code: 'ONNX_UNSUPPORTED', message: 'the constant of a node lies in another file', where });
  const tensor = readInitializer(wire, whole, source, { where, external }, problems);
  problems.throwIfAny();
  return tensor!;
}

/** Bytes of elements that are listed one by one: 4 of a float, a varint of a whole number. */
function listedBytes(wire: Wire, field: Field, type: number): Uint8Array {
  const packed = wire.bytes(field, 'a list of elements', MAX_LISTED_BYTES);
  const { bytes = 0, isFloat = false } = elementTypes.get(type) ?? {};
  if (field.number === 4 || field.number === 10) return packed;
  const reader = new BinaryReader(packed);
  const values: bigint[] = [];
  while (reader.pos < reader.len) values.push(BigInt(reader.int64()));
  const out = new DataView(new ArrayBuffer(values.length * bytes));
  for (const [i, value] of values.entries()) {
    // Halves are listed as the numbers that their bits are.
    if (bytes === 8) out.setBigInt64(8 * i, value, true);
    else if (bytes === 4) out.setInt32(4 * i, Number(BigInt.asIntN(32, value)), true);
    else if (bytes === 2) out.setUint16(2 * i, Number(BigInt.asUintN(16, value)), true);
    else if (bytes === 1 && !isFloat) out.setUint8(i, Number(BigInt.asUintN(8, value)));
  }
  return new Uint8Array(out.buffer);
}

function readInitializer(
  wire: Wire,
  message: Field,
  source: ByteSource,
  options: OnnxFileOptions,
  problems: Problems,
): OnnxTensor | undefined {
  const dims: number[] = [];
  let [name, type, isExternal] = ['', 0, false];
  let raw: Field | undefined;
  let listed: Field | undefined;
  const external = new Map<string, string>();
  const extent = (value: number): void => {
    if (dims.length >= MAX_DIMENSIONS) {
      fail({
        code: 'ONNX_LIMIT',
        message: `a tensor has more than ${MAX_DIMENSIONS} dimensions`,
        where: options.where,
      });
    }
    dims.push(value);
  };
  for (const field of wire.fields(message.begin, message.end)) {
    if (field.number === 1 && field.wire === wireTypes.varint) extent(field.value);
    else if (field.number === 1) {
      const reader = new BinaryReader(wire.bytes(field, 'the extents of a tensor', 10 * MAX_DIMENSIONS));
      readSmall(options.where, () => {
        while (reader.pos < reader.len) extent(Number(reader.int64()));
      });
    } else if (field.number === 2) type = field.value;
    else if ([4, 5, 7, 10].includes(field.number)) listed = field;
    else if (field.number === 8) name = wire.text(field, 'the name of a tensor', MAX_NAME_BYTES);
    else if (field.number === 9) raw = field;
    else if (field.number === 13) {
      let [key, value] = ['', ''];
      for (const part of wire.fields(field.begin, field.end)) {
        if (part.number === 1) key = wire.text(part, 'a key', MAX_NAME_BYTES);
        else if (part.number === 2) value = wire.text(part, 'a value', MAX_NAME_BYTES);
      }
      if (external.size < 16) external.set(key, value);
    } else if (field.number === 14) isExternal = field.value === 1;
  }
  const where = `${options.where}, tensor ${name}`;
  const element = elementTypes.get(type);
  const elements = elementsOf(dims);
  if (element === undefined) {
    problems.add({
      code: 'ONNX_TENSOR',
      message: 'a tensor has an element type that Ingot does not read',
      where,
      expected: [...elementTypes.values()].map((known) => known.name).join(', '),
      found: `type ${type}`,
    });
    return undefined;
  }
  if (!dims.every((n) => Number.isSafeInteger(n) && n >= 0) || !Number.isSafeInteger(elements * element.bytes)) {
    problems.add({
      code: 'ONNX_TENSOR',
      message: 'the extents of a tensor make no whole number of bytes below 2^53',
      where,
      found: `[${dims.join(', ')}]`,
    });
    return undefined;
  }
  const bytes = elements * element.bytes;
  const requireBytes = (found: number): boolean => {
    if (found === bytes) return true;
    problems.add({
      code: 'ONNX_TENSOR',
      message: 'a tensor has not the bytes that its extents ask for',
      where,
      expected: `${formatCount(bytes)} bytes for [${dims.join(', ')}] of ${element.name}`,
      found: `${formatCount(found)} bytes`,
      suggestion: 'fetch the file again',
    });
    return false;
  };
  if (isExternal) return externalTensor({ name, type, dims }, bytes, external, { ...options, where }, problems);
  if (raw !== undefined) {
    const isWhole = raw.wire === wireTypes.bytes && requireBytes(raw.end - raw.begin);
    return isWhole ? { name, type, dims, source, begin: raw.begin } : undefined;
  }
  const field = listed;
  const values = field === undefined ? new Uint8Array() : readSmall(where, () => listedBytes(wire, field, type));
  return requireBytes(values.length) ? tensorOf(name, type, dims, values) : undefined;
}

/** A tensor in a file beside the model. */
function externalTensor(
  tensor: Pick<OnnxTensor, 'name' | 'type' | 'dims'>,
  bytes: number,
  external: ReadonlyMap<string, string>,
  options: OnnxFileOptions,
  problems: Problems,
): OnnxTensor | undefined {
  const wholeNumber = (key: string): number | undefined => {
    const text = external.get(key);
    return text === undefined ? undefined : /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  };
  const begin = wholeNumber('offset') ?? 0;
  const length = wholeNumber('length') ?? bytes;
  const location = external.get('location') ?? '';
  try {
    const source = options.external(location);
    if (length === bytes && begin + bytes <= source.bytes) return { ...tensor, source, begin };
    problems.add({
      code: 'ONNX_TENSOR',
      message: 'a tensor is not where the model says that it lies',
      where: options.where,
      expected: `${formatCount(bytes)} bytes within the ${formatCount(source.bytes)} of ${location}`,
      found: `offset ${external.get('offset') ?? 0}, length ${external.get('length') ?? 'not stated'}`,
      suggestion: 'fetch model and data of one revision',
    });
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    for (const diagnostic of error.diagnostics)
      problems.add({ ...diagnostic, where: diagnostic.where ?? options.where });
  }
  return undefined;
}

function readInput(wire: Wire, field: Field): OnnxInput {
  let name = '';
  let type = 0;
  let dims: (number | undefined)[] | undefined;
  for (const part of wire.fields(field.begin, field.end)) {
    if (part.number === 1) name = wire.text(part, 'the name of a value', MAX_NAME_BYTES);
    else if (part.number === 2 && part.wire === wireTypes.bytes) {
      for (const kind of wire.fields(part.begin, part.end)) {
        // TypeProto.tensor_type
        if (kind.number !== 1 || kind.wire !== wireTypes.bytes) continue;
        for (const detail of wire.fields(kind.begin, kind.end)) {
          if (detail.number === 1) type = detail.value;
          else if (detail.number === 2 && detail.wire === wireTypes.bytes) dims = readDims(wire, detail);
        }
      }
    }
  }
  return { name, type, dims };
}

function readDims(wire: Wire, shape: Field): (number | undefined)[] {
  const dims: (number | undefined)[] = [];
  for (const dim of wire.fields(shape.begin, shape.end)) {
    if (dims.length >= MAX_DIMENSIONS || dim.wire !== wireTypes.bytes) continue;
    let extent: number | undefined;
    for (const part of wire.fields(dim.begin, dim.end)) if (part.number === 1) extent = part.value;
    dims.push(extent);
  }
  return dims;
}
