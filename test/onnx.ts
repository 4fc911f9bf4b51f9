// ONNX files for tests, written field by field: nodes, initializers in or beside the file, inputs and outputs.
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

export const types = { float: 1, uint8: 2, int64: 7, bool: 9, float16: 10, bfloat16: 16 } as const;

export type AttributeValue = number | { readonly float: number } | string | readonly number[] | TensorToWrite;

export interface TensorToWrite {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
  /** Where the bytes lie, if they lie in another file. */
  readonly external?: { readonly location: string; readonly offset: number; readonly length?: number };
}

export interface NodeToWrite {
  readonly op: string;
  readonly domain?: string;
  readonly name?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
}

export interface ModelToWrite {
  readonly nodes: readonly NodeToWrite[];
  readonly initializers: readonly TensorToWrite[];
  readonly inputs: readonly {
    readonly name: string;
    readonly type: number;
    readonly dims: readonly (number | string)[];
  }[];
  readonly outputs: readonly {
    readonly name: string;
    readonly type: number;
    readonly dims: readonly (number | string)[];
  }[];
}

export const floats = (name: string, dims: readonly number[], values: Float32Array): TensorToWrite => ({
  name,
  type: types.float,
  dims,
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
});

export const int64s = (
  name: string,
  values: readonly number[],
  dims: readonly number[] = [values.length],
): TensorToWrite => ({
  name,
  type: types.int64,
  dims,
  bytes: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
});

const message = (writer: BinaryWriter, field: number, write: (writer: BinaryWriter) => void): void => {
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
};
const text = (writer: BinaryWriter, field: number, value: string): void => {
  writer.tag(field, WireType.LengthDelimited).string(value);
};
const int = (writer: BinaryWriter, field: number, value: number): void => {
  writer.tag(field, WireType.Varint).int64(value);
};

function writeTensor(writer: BinaryWriter, { name, type, dims, bytes, external }: TensorToWrite): void {
  for (const extent of dims) int(writer, 1, extent);
  int(writer, 2, type);
  text(writer, 8, name);
  if (external === undefined) {
    writer.tag(9, WireType.LengthDelimited).bytes(bytes);
    return;
  }
  const { location, offset, length = bytes.length } = external;
  for (const [key, value] of Object.entries({ location, offset, length })) {
    message(writer, 13, (entry) => {
      text(entry, 1, key);
      text(entry, 2, String(value));
    });
  }
  int(writer, 14, 1);
}

function writeAttribute(writer: BinaryWriter, name: string, value: AttributeValue): void {
  text(writer, 1, name);
  if (typeof value === 'number') {
    int(writer, 3, value);
    int(writer, 20, 2);
  } else if (typeof value === 'string') {
    text(writer, 4, value);
    int(writer, 20, 3);
  } else if ('float' in value) {
    writer.tag(2, WireType.Bit32).float(value.float);
    int(writer, 20, 1);
  } else if ('bytes' in value) {
    message(writer, 5, (tensor) => writeTensor(tensor, value));
    int(writer, 20, 4);
  } else {
    for (const item of value) int(writer, 8, item);
    int(writer, 20, 7);
  }
}

function writeValue(writer: BinaryWriter, value: ModelToWrite['inputs'][number]): void {
  text(writer, 1, value.name);
  message(writer, 2, (type) =>
    message(type, 1, (tensor) => {
      int(tensor, 1, value.type);
      message(tensor, 2, (shape) => {
        for (const dim of value.dims)
          message(shape, 1, (entry) => (typeof dim === 'number' ? int(entry, 1, dim) : text(entry, 2, dim)));
      });
    }),
  );
}

/** The bytes of a model of opset 17, with ONNX Runtime's own ops. */
export function writeOnnx(model: ModelToWrite): Uint8Array {
  const writer = new BinaryWriter();
  int(writer, 1, 8);
  text(writer, 2, 'test');
  message(writer, 7, (graph) => {
    for (const node of model.nodes) {
      message(graph, 1, (out) => {
        for (const input of node.inputs) text(out, 1, input);
        for (const output of node.outputs) text(out, 2, output);
        text(out, 3, node.name ?? `/${node.outputs[0]}`);
        text(out, 4, node.op);
        for (const [name, value] of Object.entries(node.attributes ?? {}))
          message(out, 5, (attribute) => writeAttribute(attribute, name, value));
        if (node.domain !== undefined) text(out, 7, node.domain);
      });
    }
    text(graph, 2, 'decoder');
    for (const tensor of model.initializers) message(graph, 5, (out) => writeTensor(out, tensor));
    for (const input of model.inputs) message(graph, 11, (out) => writeValue(out, input));
    for (const output of model.outputs) message(graph, 12, (out) => writeValue(out, output));
  });
  for (const [domain, version] of [
    ['', 17],
    ['com.microsoft', 1],
  ] as const) {
    message(writer, 8, (opset) => {
      text(opset, 1, domain);
      int(opset, 2, version);
    });
  }
  return writer.finish();
}
