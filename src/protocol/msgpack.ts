// MessagePack as some clients send bodies in: what JSON can say, and nothing else.

import { decode, ExtensionCodec } from '@msgpack/msgpack';
import { ApiError } from './openai/error.ts';

/** No JSON has extensions: not even times, which the format defines. */
const extensions = new ExtensionCodec();
extensions.decode = (_, __, type) => {
  throw new Error(`an extension (${type}) is no JSON value`);
};

/**
 * The JSON text of the value that `bytes` hold.
 * @throws ApiError 400
 */
export function jsonOfMsgpack(bytes: Uint8Array): string {
  try {
    const value = decode(bytes, {
      extensionCodec: extensions,
      maxBinLength: 0,
      // Each member takes a byte or more, so nobody reserves more than was sent.
      maxArrayLength: bytes.length,
      maxMapLength: bytes.length,
      mapKeyConverter(key) {
        if (typeof key !== 'string') throw new Error('a key is not text');
        return key;
      },
    });
    // What lies too deep overflows here, as it would in a parser of JSON.
    return JSON.stringify(value);
  } catch (error) {
    throw new ApiError({
      status: 400,
      code: 'invalid_msgpack',
      message: `The request body is not MessagePack of a JSON value: ${(error as Error).message}.`,
      suggestion: 'Send a map with text as keys.',
    });
  }
}
