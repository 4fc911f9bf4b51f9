export { isArtifactFile, openArtifact, writeArtifact } from './artifact/artifact.node.ts';
export type { Artifact, ArtifactContent, Manifest } from './artifact/artifact.node.ts';
