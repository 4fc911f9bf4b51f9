import { createMemoryModel, createReserves, overflowOf } from '../memory.ts';
import { contentOf } from '../sections.ts';
import { definePass, shapeOf } from './pass.ts';

export const memoryPlan = definePass({
  name: 'memory',
  sentence: 'Counts every byte of the fullest PE of each region: system, code, weights, padding, activations, KV.',
  needs: ['sections', 'numerics', 'search', 'parts', 'places'],
  gives: ['memory'],
  run({ sections, numerics, search, parts, places }, { wafer }) {
    const reserveOf = createReserves(sections, wafer, numerics);
    const plans = new Map<string, ReturnType<ReturnType<typeof createMemoryModel>['stage']>>();
    return {
      memory: parts.map((part, i) => {
        const { region } = places[i];
        const content = contentOf(sections, part);
        const key = [shapeOf(region), content.embedding, content.head, ...content.layersOfKind].join();
        let plan = plans.get(key);
        if (plan === undefined) {
          const model = createMemoryModel(sections, region, wafer, numerics, reserveOf);
          plan = model.stage(content, search.chosen.chunk, parts.length > 1);
          plans.set(key, plan);
        }
        return plan;
      }),
    };
  },
  law: ({ memory, places, sections, numerics }, { wafer, kvTokens }) =>
    memory.flatMap((plan, i) => {
      const { capacity, system, code, weights, padding, activations, kv } = plan;
      const rows = createMemoryModel(sections, places[i].region, wafer, numerics).kvRows;
      return [
        ...(system + code + weights + padding + activations + kv === capacity && capacity === wafer.sramPerPe
          ? []
          : [`the classes of region ${i} add up to the SRAM of a PE`]),
        ...(overflowOf(plan, rows, kvTokens) <= 0 ? [] : [`region ${i} holds the KV cache that was asked for`]),
      ];
    }),
  show: ({ memory, places }) => memory.map((plan, i) => ({ region: shapeOf(places[i].region), ...plan })),
});
