import { contextOf } from '../request.ts';
import { definePass } from './pass.ts';

export const schedule = definePass({
  name: 'schedule',
  sentence: 'Puts the stages in the order of the token, and says how many tokens fill them.',
  needs: ['graph', 'search', 'parts', 'places'],
  gives: ['schedule'],
  run({ graph, search: { chosen }, parts, places }, options) {
    const { cost } = options;
    const one = { sequences: 1, tokens: 1, cached: contextOf(options) - 1 };
    const stages = parts.map((part, i) => {
      const { region, wafer } = places[i];
      const held = [
        ...(part.hasEmbedding ? [graph.prologue] : []),
        ...graph.layers.slice(part.fromLayer, part.toLayer),
        ...(part.hasHead ? [graph.epilogue] : []),
      ];
      const next = places.at(i + 1);
      const way = next?.wafer === wafer ? cost.move : cost.cross;
      return {
        work: held.reduce((sum, ops) => sum + cost.section(ops, region, one), 0),
        handOn: next === undefined ? 0 : way(region, next.region, 1),
      };
    });
    const slowest = stages.reduce((most, { work, handOn }) => Math.max(most, work + handOn), 0);
    const all = stages.reduce((sum, { work, handOn }) => sum + work + handOn, 0);
    return { schedule: { chunk: chosen.chunk, stages, slowest, toFill: slowest > 0 ? Math.ceil(all / slowest) : 1 } };
  },
  law: ({ schedule: { stages, toFill }, parts }) => [
    ...(stages.length === parts.length ? [] : ['every part is scheduled']),
    ...(toFill >= 1 && toFill <= parts.length ? [] : ['no more micro-batches fill the pipeline than it has stages']),
  ],
  show: ({ schedule: { chunk, stages, slowest, toFill } }) => ({
    chunk,
    microseconds: stages.map(({ work, handOn }) => `${micro(work)} + ${micro(handOn)}`),
    slowest: micro(slowest),
    toFill,
  }),
});

const micro = (seconds: number): string => (seconds * 1e6).toFixed(3);
