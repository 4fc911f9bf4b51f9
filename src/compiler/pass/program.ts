import { groupSize, sectionGroups, type Axis, type Region } from '../../wafer/index.ts';
import type { Op } from '../../model/index.ts';
import { definePass } from './pass.ts';

/** Those that the layers of a stage sum in; a stage without layers has none. */
const groupsOf = (layer: readonly Op[] | undefined, region: Region): Readonly<Record<Axis, number>> => ({
  x: groupSize(region.width),
  y: groupSize(region.height),
  ...(layer === undefined ? {} : sectionGroups(layer, 'y', region)),
});

export const program = definePass({
  name: 'program',
  sentence: 'Writes it all down as one plain value.',
  needs: ['graph', 'numerics', 'search', 'parts', 'places', 'detours', 'memory', 'verified'],
  gives: ['program'],
  run: ({ graph, numerics, search, parts, places, detours, memory }, { model, wafer, pruning }) => ({
    program: {
      format: 'ingot-program',
      version: 2,
      target: wafer.id,
      model,
      graph,
      numerics,
      pruning,
      prefillChunk: search.chosen.chunk,
      stages: parts.map((part, i) => ({
        wafer: places[i].wafer,
        region: places[i].region,
        groups: groupsOf(graph.layers.at(part.fromLayer), places[i].region),
        ...part,
        memory: memory[i],
        ...(detours[i].x + detours[i].y === 0 ? {} : { detours: detours[i] }),
      })),
    },
  }),
  law: ({ program: made, parts }) => (made.stages.length === parts.length ? [] : ['every part is a stage']),
  show: ({ program: { graph, ...rest } }) => ({ ...rest, layers: graph.layers.length }),
});
