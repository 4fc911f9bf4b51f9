// The bytes of an artifact: a fixed head, the members one after another, and a manifest that names them. Pure.
//
//   0   8  magic
//   8   4  version, little-endian, as all numbers here
//   12  4  0
//   16  8  offset of the manifest
//   24  8  its length
//   32  32 its SHA-256
//   64     members, each from a multiple of 64 on, zeros between; then the manifest, to the end of the file

import { fail, formatCount, IngotError, type Diagnostic } from '../../core/index.ts';

export const MAGIC = new Uint8Array([0x49, 0x4e, 0x47, 0x4f, 0x54, 0x0d, 0x0a, 0x1a]);
export const VERSION = 1;
export const HEAD_BYTES = 64;
export const ALIGNMENT = 64;
/** A program of thousands of stages takes a few megabytes. */
export const MAX_MANIFEST_BYTES = 64 * 2 ** 20;
/** A checkpoint in a thousand shards, and its small files. */
export const MAX_MEMBERS = 2048;

const MAX_NAME_LENGTH = 255;

/** One file in an artifact. */
export interface Member {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

export interface Head {
  readonly manifestOffset: number;
  readonly manifestBytes: number;
  readonly manifestSha256: Uint8Array;
}

export const aligned = (offset: number): number => Math.ceil(offset / ALIGNMENT) * ALIGNMENT;

export function encodeHead({ manifestOffset, manifestBytes, manifestSha256 }: Head): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  const view = new DataView(head.buffer);
  head.set(MAGIC);
  view.setUint32(8, VERSION, true);
  view.setBigUint64(16, BigInt(manifestOffset), true);
  view.setBigUint64(24, BigInt(manifestBytes), true);
  head.set(manifestSha256, 32);
  return head;
}

/** Whether bytes start like an artifact. */
export const isArtifact = (start: Uint8Array): boolean =>
  start.length >= MAGIC.length && MAGIC.every((byte, i) => start[i] === byte);

/**
 * @param head the first `HEAD_BYTES` bytes of the file, or fewer where it has no more
 * @throws IngotError ARTIFACT_NOT_ONE, ARTIFACT_NEWER, ARTIFACT_CORRUPT
 */
export function decodeHead(head: Uint8Array, fileBytes: number, where: string): Head {
  if (!isArtifact(head)) {
    fail({
      code: 'ARTIFACT_NOT_ONE',
      message: 'the file does not start like an artifact of Ingot',
      where,
      suggestion: 'make one with "ingot compile MODEL --out FILE"',
    });
  }
  if (head.length < HEAD_BYTES) corrupt('the file ends within its head', where, `${HEAD_BYTES} bytes`, head.length);
  const view = new DataView(head.buffer, head.byteOffset, HEAD_BYTES);
  const version = view.getUint32(8, true);
  if (version > VERSION) {
    fail({
      code: 'ARTIFACT_NEWER',
      message: 'the artifact is of a newer version than this Ingot reads',
      where,
      expected: `version ${VERSION}`,
      found: `version ${version}`,
      suggestion: 'use the Ingot that made it or a newer one, or compile the model again',
    });
  }
  const manifestOffset = Number(view.getBigUint64(16, true));
  const manifestBytes = Number(view.getBigUint64(24, true));
  if (version < 1 || view.getUint32(12, true) !== 0 || manifestOffset < HEAD_BYTES)
    corrupt('the head makes no sense', where);
  if (manifestBytes > MAX_MANIFEST_BYTES)
    corrupt('the manifest is too long', where, `at most ${formatCount(MAX_MANIFEST_BYTES)} bytes`, manifestBytes);
  if (manifestOffset + manifestBytes !== fileBytes)
    corrupt(
      'the manifest does not end with the file',
      where,
      `${formatCount(manifestOffset + manifestBytes)} bytes`,
      fileBytes,
    );
  return { manifestOffset, manifestBytes, manifestSha256: head.slice(32, 64) };
}

/**
 * The members of a manifest: names that lead nowhere else, bytes that follow one another from the head to the manifest.
 * @throws IngotError ARTIFACT_CORRUPT, several at once
 */
export function checkMembers(value: unknown, manifestOffset: number, where: string): Member[] {
  if (!Array.isArray(value) || value.length > MAX_MEMBERS)
    return corrupt('the manifest does not list its members', where, `a list of at most ${MAX_MEMBERS}`);
  const problems: Diagnostic[] = [];
  const names = new Set<string>();
  const members: Member[] = [];
  let end = HEAD_BYTES;
  value.forEach((item: unknown, i) => {
    const at = `${where}, members[${i}]`;
    const member = (typeof item === 'object' && item !== null ? item : {}) as Partial<Member>;
    const { name, offset, bytes, sha256 } = member;
    const holds =
      Object.keys(member).length === 4 &&
      typeof name === 'string' &&
      name.length <= MAX_NAME_LENGTH &&
      /^(?:[\w-][\w. -]*\/)?[\w-][\w. -]*$/.test(name) &&
      !names.has(name) &&
      Number.isSafeInteger(bytes) &&
      (bytes as number) >= 0 &&
      offset === aligned(end) &&
      typeof sha256 === 'string' &&
      /^[0-9a-f]{64}$/.test(sha256);
    if (!holds) {
      if (problems.length < 8)
        problems.push({
          code: 'ARTIFACT_CORRUPT',
          message: 'an entry of a member does not hold',
          where: at,
          expected: `a name, ${aligned(end)} as offset, bytes and a SHA-256`,
          found: JSON.stringify(item).slice(0, 120),
        });
      end = aligned(end) + (Number.isSafeInteger(bytes) ? Math.max(0, bytes as number) : 0);
      return;
    }
    names.add(name);
    end = (offset as number) + (bytes as number);
    members.push({ name, offset: offset as number, bytes: bytes as number, sha256 });
  });
  if (problems.length > 0) throw new IngotError(problems);
  if (aligned(end) !== manifestOffset)
    corrupt('the members do not end where the manifest begins', where, String(manifestOffset), aligned(end));
  return members;
}

/** @throws IngotError ARTIFACT_CORRUPT */
export function corrupt(message: string, where: string, expected?: string, found?: unknown): never {
  return fail({
    code: 'ARTIFACT_CORRUPT',
    message,
    where,
    expected,
    ...(found === undefined ? {} : { found: String(found) }),
    suggestion: 'fetch or compile the artifact again',
  });
}
