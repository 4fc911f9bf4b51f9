import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { IngotError } from '../../core/index.ts';
import { filesOf, openCheckpoint } from '../../model/index.node.ts';
import { graphOf } from '../../model/index.ts';
import { findLlm } from '../../spec/index.ts';
import type { MemoryPlan, Program } from '../../wafer/index.ts';
import { isArtifactFile, openArtifact, writeArtifact } from './artifact.node.ts';
import { HEAD_BYTES } from './container.ts';

const root = mkdtempSync(join(tmpdir(), 'ingot-artifact-'));
afterAll(() => rmSync(root, { recursive: true }));

const shipped = resolve(import.meta.dirname, '../../../checkpoint');
const memory: MemoryPlan = {
  capacity: 49_152,
  system: 1000,
  code: 10_000,
  weights: 30_000,
  padding: 152,
  activations: 4000,
  kv: 4000,
  kvPerToken: 10,
  kvTokens: 400,
};
const programOf = (graph: Program['graph'], model: string): Program => ({
  format: 'ingot-program',
  version: 2,
  target: 'wse3',
  model,
  graph,
  numerics: { weights: 'bf16', activations: 'fp32', kv: 'fp32' },
  prefillChunk: 4,
  stages: [
    {
      wafer: 0,
      region: { x: 3, y: 4, width: 50, height: 40 },
      groups: { x: 7, y: 6 },
      fromLayer: 0,
      toLayer: graph.layers.length,
      hasEmbedding: true,
      hasHead: true,
      memory,
    },
  ],
});

function writeShipped(file: string): Program {
  const checkpoint = openCheckpoint(shipped);
  try {
    const program = programOf(checkpoint.graph, 'ingot-tiny');
    const names = checkpoint.provenance.files.map(({ name }) => name);
    const model = { files: filesOf(shipped), names };
    writeArtifact(file, { program, compiler: '0.1.0', options: { wafer: 'wse3', context: 400 }, model });
    return program;
  } finally {
    checkpoint.close();
  }
}

/** The code of the first problem that opening this file ends with. */
function codeOf(file: string): string {
  try {
    openArtifact(file).close();
    return 'opened';
  } catch (error) {
    if (error instanceof IngotError) return error.code;
    throw error;
  }
}

const named = join(root, 'named.ingot');
const graph = graphOf(findLlm('llama-3.1-8b').shape);
writeArtifact(named, {
  program: programOf(graph, 'llama-3.1-8b'),
  compiler: '0.1.0',
  options: {},
  model: { llm: 'llama-3.1-8b' },
});
const whole = readFileSync(named);
const damaged = join(root, 'damaged.ingot');

describe('an artifact', () => {
  it('gives back program, checkpoint and the hashes of its inputs', () => {
    const file = join(root, 'tiny.ingot');
    const program = writeShipped(file);
    expect(isArtifactFile(file)).toBe(true);
    const artifact = openArtifact(file);
    const original = openCheckpoint(shipped);
    try {
      expect(artifact.program).toEqual(program);
      expect(artifact.manifest.options).toEqual({ wafer: 'wse3', context: 400 });
      const { weights, tokenizer, generation } = artifact.checkpoint ?? original;
      expect(weights).not.toBe(original.weights);
      for (const name of original.weights.names.slice(0, 3))
        expect(weights.read(name)).toEqual(original.weights.read(name));
      expect(tokenizer.encode('a wafer')).toEqual(original.tokenizer.encode('a wafer'));
      expect(generation).toEqual(original.generation);
      for (const { name, sha256 } of artifact.manifest.members) expect(sha256).toBe(original.provenance.sha256(name));
    } finally {
      artifact.close();
      original.close();
    }
  });

  it('is the same byte for byte when it is made again, and leaves nothing else behind', () => {
    const [one, two] = [join(root, 'one.ingot'), join(root, 'two.ingot')];
    writeShipped(one);
    writeShipped(two);
    expect(readFileSync(one).equals(readFileSync(two))).toBe(true);
    expect(readdirSync(root).filter((name) => name.endsWith('.partial'))).toEqual([]);
  });

  it('of a model by name has its shape and no weights', () => {
    const artifact = openArtifact(named);
    expect(artifact.checkpoint).toBeUndefined();
    expect(artifact.graph).toEqual(graph);
    artifact.close();
  });

  it('cannot be written where there is no folder', () =>
    expect(() => writeShipped(join(root, 'nowhere', 'x.ingot'))).toThrow(
      expect.objectContaining({ code: 'ARTIFACT_UNWRITABLE' }) as Error,
    ));
});

describe('a damaged artifact', () => {
  it('is refused whichever byte was changed', () =>
    fc.assert(
      fc.property(
        fc.oneof(fc.nat({ max: HEAD_BYTES - 1 }), fc.nat({ max: whole.length - 1 })),
        fc.integer({ min: 1, max: 255 }),
        (at, change) => {
          const bytes = Buffer.from(whole);
          bytes[at] ^= change;
          writeFileSync(damaged, bytes);
          expect(codeOf(damaged)).toMatch(/^ARTIFACT_/);
        },
      ),
      { numRuns: 200 },
    ));

  it('is refused wherever it was cut, and with anything behind it', () => {
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), (length) => {
        writeFileSync(damaged, whole.subarray(0, length));
        expect(codeOf(damaged)).toMatch(/^ARTIFACT_/);
      }),
      { numRuns: 100 },
    );
    writeFileSync(damaged, Buffer.concat([whole, Buffer.alloc(1)]));
    expect(codeOf(damaged)).toBe('ARTIFACT_CORRUPT');
  });

  it('is refused where one bit of a weight has changed', () => {
    const file = join(root, 'weights.ingot');
    writeShipped(file);
    const bytes = readFileSync(file);
    bytes[Math.floor(bytes.length / 2)] ^= 1;
    writeFileSync(damaged, bytes);
    expect(codeOf(damaged)).toBe('ARTIFACT_CORRUPT');
  });

  it('of a newer version is called that', () => {
    const bytes = Buffer.from(whole);
    bytes.writeUint32LE(2, 8);
    writeFileSync(damaged, bytes);
    expect(codeOf(damaged)).toBe('ARTIFACT_NEWER');
  });
});
