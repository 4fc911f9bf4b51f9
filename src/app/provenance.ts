// What a served model was made from, with hashes that are made when somebody asks: a large checkpoint takes seconds to read.

import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

import packageJson from '../../package.json' with { type: 'json' };
import type { ModelProvenance, ProvenanceFile } from '../runtime/index.ts';
import { wafersOf } from '../wafer/index.ts';
import type { OpenModel, PlacedModel } from './place.ts';

/** @param model with its checkpoint where weights are executed */
export async function provenanceOf(
  model: OpenModel,
  { program, facts }: PlacedModel,
  emulated: boolean,
): Promise<ModelProvenance> {
  const files: ProvenanceFile[] = [];
  const { checkpoint, graph } = model;
  const { dir = '', provenance = { files: [], sha256: () => '' } } = emulated ? {} : (checkpoint ?? {});
  for (const { name, bytes } of provenance.files) {
    // Members of an artifact are no files of their own.
    const path = [join(dir, name), join(dirname(dir), name)].find(isFile);
    files.push({ name, bytes, sha256: path === undefined ? provenance.sha256(name) : await hashOf(path) });
  }
  return {
    emulated,
    files,
    shape_sha256: createHash('sha256').update(JSON.stringify(graph.shape)).digest('hex'),
    compiler: { name: packageJson.name, version: model.compiled?.manifest.compiler ?? packageJson.version },
    wafer: { id: program.target, name: facts.name, count: wafersOf(program) },
    numerics: program.numerics,
  };
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true;

/** In pieces, so that answers go on meanwhile. */
async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}
