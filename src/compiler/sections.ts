// A model's sections as the compiler sees them: layers of the same kind have equal sizes and costs, so each kind is
// sized and priced once.

import type { Graph, Op } from '../model/index.ts';

export interface Sections {
  readonly graph: Graph;
  /** One layer of each kind. */
  readonly kinds: readonly (readonly Op[])[];
  /** Kind of each layer. */
  readonly kindOf: readonly number[];
}

export function sectionsOf(graph: Graph): Sections {
  const seen = new Map<string, number>();
  const kinds: (readonly Op[])[] = [];
  const kindOf = graph.layers.map((ops) => {
    const key = signature(ops);
    let kind = seen.get(key);
    if (kind === undefined) {
      kind = kinds.push(ops) - 1;
      seen.set(key, kind);
    }
    return kind;
  });
  return { graph, kinds, kindOf };
}

/** What a stage holds: how many layers of each kind, and whether the embedding and the head besides. */
export interface StageContent {
  readonly layersOfKind: readonly number[];
  readonly embedding: boolean;
  readonly head: boolean;
}

export interface StageRange {
  readonly fromLayer: number;
  readonly toLayer: number;
  readonly hasEmbedding: boolean;
  readonly hasHead: boolean;
}

export function contentOf(sections: Sections, stage: StageRange): StageContent {
  const layersOfKind = sections.kinds.map(() => 0);
  for (let layer = stage.fromLayer; layer < stage.toLayer; layer++) layersOfKind[sections.kindOf[layer]]++;
  return { layersOfKind, embedding: stage.hasEmbedding, head: stage.hasHead };
}

/** Stages that differ in what they hold. */
export function distinctContents(sections: Sections, stages: readonly StageRange[]): StageContent[] {
  const seen = new Map<string, StageContent>();
  for (const stage of stages) {
    const content = contentOf(sections, stage);
    seen.set([content.embedding, content.head, ...content.layersOfKind].join(), content);
  }
  return [...seen.values()];
}

/** Equal for layers with equal sizes and costs: all numbers and objects of their ops, not the names of weights. */
function signature(ops: readonly Op[]): string {
  return ops
    .map((op) => {
      const sizes = Object.entries(op).filter(([, value]) => typeof value === 'number' || typeof value === 'object');
      return `${op.kind}:${op.out}:${'bias' in op}:${JSON.stringify(sizes)}`;
    })
    .join('|');
}
