export { meshCollectives } from './list.ts';
export { chooseCollective } from './choose.ts';
export type { Choice } from './choose.ts';
export type { LoweredMeshCollective, MeshCollective, MeshShape, Place } from './mesh-collective.ts';
