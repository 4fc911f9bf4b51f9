import { fail } from '../../core/index.ts';
import { collectives } from '../../wafer/index.ts';
import { definePass, type RegionColors } from './pass.ts';

export const color = definePass({
  name: 'color',
  sentence: 'Gives the sums and streams of each region colors of their own, of those that the machine routes.',
  needs: ['parts', 'places'],
  gives: ['colors'],
  run({ parts, places }, { wafer, model }) {
    const available = wafer.colors - wafer.reservedColors;
    return {
      colors: parts.map((_, i): RegionColors => {
        // Every PE of a region takes part in them, so none may share a color with another.
        const wanted: [user: string, colors: number][] = [
          ['sums along x', collectives['two-level'].colors],
          ['sums along y', collectives['two-level'].colors],
          ['broadcasts along x', collectives['broadcast'].colors],
          ['broadcasts along y', collectives['broadcast'].colors],
          ...(i > 0 || parts[i].hasEmbedding ? [['stream in', 1] as [string, number]] : []),
          ...(i < places.length - 1 || parts[i].hasHead ? [['stream out', 1] as [string, number]] : []),
        ];
        let next = 0;
        const users = wanted.map(([user, count]) => ({
          user,
          colors: Array.from({ length: count }, () => next++),
        }));
        if (next > available)
          fail({
            code: 'COLORS_OVER',
            message: `the region of stage ${i} of ${model} needs more colors than ${wafer.name} has`,
            expected: `at most ${available}, of ${wafer.colors} less ${wafer.reservedColors} of the host copy`,
            found: `${next}`,
          });
        return { users };
      }),
    };
  },
  law: ({ colors }, { wafer }) =>
    colors.flatMap(({ users }, i) => {
      const all = users.flatMap((user) => user.colors);
      return new Set(all).size === all.length && all.every((c) => c < wafer.colors - wafer.reservedColors)
        ? []
        : [`colors of region ${i} are apart and of those that are free`];
    }),
  show({ colors }) {
    const kinds = new Map<string, number>();
    for (const { users } of colors) {
      const text = users
        .map(({ user, colors: c }) => `${user} ${c[0]}${c.length > 1 ? `-${c.at(-1)}` : ''}`)
        .join(', ');
      kinds.set(text, (kinds.get(text) ?? 0) + 1);
    }
    return [...kinds].map(([use, regions]) => ({ regions, colors: use }));
  },
});
