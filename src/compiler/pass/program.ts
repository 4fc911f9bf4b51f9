import { groupSize } from '../../wafer/index.ts';
import { definePass } from './pass.ts';

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
      ...(pruning === undefined ? {} : { pruning }),
      prefillChunk: search.chosen.chunk,
      stages: parts.map((part, i) => ({
        wafer: places[i].wafer,
        region: places[i].region,
        groups: { x: groupSize(places[i].region.width), y: groupSize(places[i].region.height) },
        ...part,
        memory: memory[i],
        ...(detours[i].x + detours[i].y === 0 ? {} : { detours: detours[i] }),
      })),
    },
  }),
  law: ({ program: made, parts }) => (made.stages.length === parts.length ? [] : ['every part is a stage']),
  show: ({ program: { graph, ...rest } }) => ({ ...rest, layers: graph.layers.length }),
});
