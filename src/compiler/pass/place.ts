import type { Region } from '../../wafer/index.ts';
import { placeGrid } from '../grid.ts';
import { definePass, shapeOf } from './pass.ts';

export const place = definePass({
  name: 'place',
  sentence: 'Gives each part a rectangle of PEs, beside the one before where it can be.',
  needs: ['search', 'parts'],
  gives: ['places', 'detours'],
  run({ search: { chosen } }, { wafer, detours = () => ({ x: 0, y: 0 }) }) {
    const program = { width: wafer.programWidth, height: wafer.programHeight };
    const places = placeGrid(chosen, program, chosen.wafers);
    return { places, detours: places.map(({ region }) => detours(region)) };
  },
  law({ places, parts, search }, { wafer }) {
    const broken: string[] = [];
    if (places.length !== parts.length) broken.push('every part has a region');
    for (const [i, a] of places.entries()) {
      const { x, y, width, height } = a.region;
      if (x < 0 || y < 0 || x + width > wafer.programWidth || y + height > wafer.programHeight)
        broken.push(`region ${i} lies on the program rectangle`);
      for (const b of places.slice(i + 1))
        if (a.wafer === b.wafer && overlap(a.region, b.region)) broken.push('regions do not overlap');
      if (i > 0 && a.wafer !== places[i - 1].wafer && a.wafer !== places[i - 1].wafer + 1)
        broken.push('a token goes from a wafer to the next');
    }
    if (places.at(-1)?.wafer !== search.chosen.wafers - 1) broken.push('the last region is on the last wafer');
    return broken;
  },
  show: ({ places, detours }) =>
    places.map(({ wafer, region }, i) => ({
      wafer,
      at: `${region.x},${region.y}`,
      region: shapeOf(region),
      ...(detours[i].x + detours[i].y === 0 ? {} : { detours: detours[i] }),
    })),
});

const overlap = (a: Region, b: Region): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
