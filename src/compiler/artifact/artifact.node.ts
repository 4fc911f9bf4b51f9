// An artifact: one file with a compiled program and the very files of the checkpoint that it was compiled from. The
// inputs are kept byte for byte, so their hashes are the provenance, and whoever reads a checkpoint reads an artifact.

import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';

import { assert, fail, IngotError } from '../../core/index.ts';
import { openCheckpointFiles, sha256, type Checkpoint, type Files, type OpenFile } from '../../model/index.node.ts';
import { graphOf, parseJsonObject, type Graph } from '../../model/index.ts';
import { findLlm, findWafer, resolveWafer } from '../../spec/index.ts';
import { parseProgram, programFile, type Program, type ProgramFile } from '../../wafer/index.ts';
import {
  aligned,
  checkMembers,
  corrupt,
  decodeHead,
  encodeHead,
  HEAD_BYTES,
  isArtifact,
  MAGIC,
  type Member,
} from './container.ts';

const COPY_BYTES = 2 ** 20;

/** What an artifact says of itself. */
export interface Manifest {
  readonly format: 'ingot-artifact';
  /** Version of the Ingot that compiled it. */
  readonly compiler: string;
  /** What the compiler was asked for. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Name in `spec/llm` of a model without weights; absent where the members are a checkpoint. */
  readonly llm?: string;
  readonly program: ProgramFile;
  readonly members: readonly Member[];
}

export interface ArtifactContent {
  readonly program: Program;
  readonly compiler: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** A name of `spec/llm`, or the files of the checkpoint. */
  readonly model: { readonly llm: string } | { readonly files: Files; readonly names: readonly string[] };
  /** Bytes copied so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Write an artifact. The same content gives the same bytes. The file appears under its name when it is whole.
 * @throws IngotError ARTIFACT_UNWRITABLE, CHECKPOINT_FILE_*
 */
export function writeArtifact(file: string, content: ArtifactContent): Manifest {
  const { program, compiler, options, model, onProgress } = content;
  const partial = `${file}.partial`;
  const fd = openForWriting(partial, file);
  try {
    let at = 0;
    const write = (bytes: Uint8Array): void => {
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
      at += bytes.length;
    };
    const pad = (): void => write(new Uint8Array(aligned(at) - at));
    write(new Uint8Array(HEAD_BYTES));
    const members: Member[] = [];
    if ('files' in model) {
      const inputs = model.names.map((name) => ({ name, file: model.files.open(name) }));
      try {
        const total = inputs.reduce((sum, input) => sum + input.file.bytes, 0);
        let done = 0;
        for (const { name, file: input } of inputs) {
          pad();
          const offset = at;
          const hash = copy(input, (part) => {
            write(part);
            onProgress?.((done += part.length), total);
          });
          members.push({ name, offset, bytes: input.bytes, sha256: hash });
        }
      } finally {
        for (const input of inputs) input.file.close();
      }
    }
    pad();
    const manifest: Manifest = {
      format: 'ingot-artifact',
      compiler,
      options,
      ...('llm' in model ? { llm: model.llm } : {}),
      program: programFile(program),
      members,
    };
    const text = new TextEncoder().encode(`${JSON.stringify(manifest)}\n`);
    const manifestOffset = at;
    write(text);
    const manifestSha256 = createHash('sha256').update(text).digest();
    const head = encodeHead({ manifestOffset, manifestBytes: text.length, manifestSha256 });
    writeSync(fd, head, 0, head.length, 0);
    closeSync(fd);
    renameSync(partial, file);
    return manifest;
  } catch (error) {
    try {
      closeSync(fd);
    } catch {
      // It was closed before the failure.
    }
    rmSync(partial, { force: true });
    throw error instanceof IngotError ? error : unwritable(file, error);
  }
}

function copy(from: OpenFile, write: (bytes: Uint8Array) => void): string {
  const hash = createHash('sha256');
  const chunk = new Uint8Array(Math.min(COPY_BYTES, from.bytes));
  for (let done = 0; done < from.bytes; done += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, from.bytes - done));
    from.read(part, done);
    hash.update(part);
    write(part);
  }
  return hash.digest('hex');
}

function openForWriting(partial: string, file: string): number {
  try {
    return openSync(partial, 'w');
  } catch (error) {
    throw unwritable(file, error);
  }
}

const unwritable = (file: string, error: unknown): IngotError =>
  new IngotError(
    {
      code: 'ARTIFACT_UNWRITABLE',
      message: 'the artifact cannot be written',
      where: file,
      found: (error as NodeJS.ErrnoException).code ?? String(error),
      suggestion: 'choose a file in a folder that exists and has room',
    },
    { cause: error },
  );

export interface Artifact {
  readonly path: string;
  readonly bytes: number;
  readonly manifest: Manifest;
  readonly graph: Graph;
  readonly program: Program;
  /** Present where the members are a checkpoint; closing it closes the artifact. */
  readonly checkpoint?: Checkpoint;
  close(): void;
}

/** Whether the path is a file that starts like an artifact. */
export function isArtifactFile(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return false;
  const fd = openSync(path, 'r');
  try {
    const start = new Uint8Array(MAGIC.length);
    return readSync(fd, start, 0, start.length, 0) === start.length && isArtifact(start);
  } finally {
    closeSync(fd);
  }
}

/**
 * Open an artifact: every member's hash, the manifest, the program and the checkpoint are checked before anything is used.
 * @throws IngotError ARTIFACT_*, PROGRAM_FILE_INVALID, WAFER_UNKNOWN, LLM_UNKNOWN, and those of openCheckpoint
 */
export function openArtifact(path: string): Artifact {
  const fd = openSync(path, 'r');
  let open = true;
  const close = (): void => {
    if (open) closeSync(fd);
    open = false;
  };
  try {
    const bytes = fstatSync(fd).size;
    const manifest = readManifest(fd, bytes, path);
    const files = memberFiles(fd, path, manifest.members);
    checkHashes(files, manifest.members);
    const checkpoint = manifest.llm === undefined ? openCheckpointFiles(files) : undefined;
    const graph = checkpoint?.graph ?? graphOf(findLlm(manifest.llm ?? '').shape);
    const wafer = resolveWafer(findWafer(String(manifest.program.target)));
    return {
      path,
      bytes,
      manifest,
      graph,
      program: parseProgram(manifest.program, graph, wafer, path),
      ...(checkpoint === undefined
        ? {}
        : {
            checkpoint: {
              ...checkpoint,
              close() {
                checkpoint.close();
                close();
              },
            },
          }),
      close() {
        checkpoint?.close();
        close();
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

function readManifest(fd: number, bytes: number, path: string): Manifest {
  const start = new Uint8Array(Math.min(HEAD_BYTES, bytes));
  readSync(fd, start, 0, start.length, 0);
  const head = decodeHead(start, bytes, path);
  const text = new Uint8Array(head.manifestBytes);
  readSync(fd, text, 0, text.length, head.manifestOffset);
  if (!createHash('sha256').update(text).digest().equals(head.manifestSha256))
    corrupt('the manifest is not what was written', path);
  const json = parseJsonObject(new TextDecoder().decode(text), path, { large: true, code: 'ARTIFACT_CORRUPT' });
  const known = ['format', 'compiler', 'options', 'llm', 'program', 'members'];
  const unknown = Object.keys(json).find((key) => !known.includes(key));
  const { format, compiler, options, llm, program } = json as unknown as Manifest;
  if (
    unknown !== undefined ||
    format !== 'ingot-artifact' ||
    typeof compiler !== 'string' ||
    typeof options !== 'object' ||
    options === null ||
    (llm !== undefined && typeof llm !== 'string') ||
    typeof program !== 'object' ||
    program === null
  )
    corrupt('the manifest is not one of an artifact', path, known.join(', '), unknown);
  const members = checkMembers(json['members'], head.manifestOffset, path);
  if ((llm === undefined) === (members.length === 0))
    corrupt('an artifact has either a checkpoint or the name of a model', path);
  return { format, compiler, options, ...(llm === undefined ? {} : { llm }), program, members };
}

/** The members as files; each open one reads within its own bytes. */
function memberFiles(fd: number, path: string, members: readonly Member[]): Files {
  const byName = new Map(members.map((member) => [member.name, member]));
  const where = (name: string): string => `${path}, ${name}`;
  return {
    path,
    where,
    names: () => [...byName.keys()],
    has: (name) => byName.has(name),
    open(name, suggestion) {
      const member = byName.get(name);
      if (member === undefined) {
        return fail({
          code: 'CHECKPOINT_FILE_MISSING',
          message: `the artifact has no ${name}`,
          where: path,
          suggestion: suggestion ?? 'compile the model again',
        });
      }
      return {
        path: where(name),
        bytes: member.bytes,
        read(target, position) {
          assert(position >= 0 && position + target.length <= member.bytes, `bytes of ${name} exist`);
          for (let done = 0; done < target.length; ) {
            const left = Math.min(target.length - done, 2 ** 30);
            const read = readSync(fd, target, done, left, member.offset + position + done);
            if (read === 0) corrupt('the file became shorter after it was opened', path);
            done += read;
          }
        },
        // The file belongs to the artifact.
        close: () => {},
      };
    },
  };
}

function checkHashes(files: Files, members: readonly Member[]): void {
  for (const member of members) {
    const found = sha256(files, member.name);
    if (found !== member.sha256)
      corrupt('a member is not what was written', files.where(member.name), member.sha256, found);
  }
}
