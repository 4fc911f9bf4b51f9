// `ingot compile --out`: the program and what it was compiled from, in one file.

import { writeArtifact, type Manifest } from '../../compiler/index.node.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import type { OpenModel, PlacedModel } from '../place.ts';
import type { Io } from './io.ts';
import { createProgress } from './progress.ts';

/**
 * @param options what the compiler was asked for; an artifact repeats it
 * @throws IngotError ARTIFACT_UNWRITABLE
 */
export function saveArtifact(
  io: Io,
  file: string,
  { id, checkpoint }: OpenModel,
  { program }: PlacedModel,
  options: Readonly<Record<string, unknown>>,
): Manifest {
  const progress = createProgress(io, 'writing the artifact');
  try {
    return writeArtifact(file, {
      program,
      compiler: packageJson.version,
      options,
      model:
        checkpoint === undefined
          ? { llm: id }
          : { files: checkpoint.files, names: checkpoint.provenance.files.map(({ name }) => name) },
      onProgress: progress.update,
    });
  } finally {
    progress.end();
  }
}
