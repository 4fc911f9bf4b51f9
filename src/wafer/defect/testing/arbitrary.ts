import fc from 'fast-check';
import { createDefectMap, type DefectMap, type PhysLink } from '../defect-map.ts';
import { spareColumns, spareRows, type WaferStructure } from '../structure.ts';

/** A small wafer: dimensions of the logical rectangle and numbers of spares. */
export const structures = fc
  .record({
    logicalWidth: fc.integer({ min: 1, max: 12 }),
    logicalHeight: fc.integer({ min: 1, max: 12 }),
    columns: fc.nat(4),
    rows: fc.nat(4),
    dieColumns: fc.integer({ min: 1, max: 3 }),
    dieRows: fc.integer({ min: 1, max: 3 }),
  })
  .map(
    ({ logicalWidth, logicalHeight, columns, rows, ...dies }): WaferStructure => ({
      logicalWidth,
      logicalHeight,
      width: logicalWidth + columns,
      height: logicalHeight + rows,
      ...dies,
    }),
  );

const places = ({ width, height }: WaferStructure) => fc.record({ x: fc.nat(width - 1), y: fc.nat(height - 1) });

/** Any defects at all, repairable or not. */
export const defectsOf = (structure: WaferStructure): fc.Arbitrary<DefectMap> => {
  const { width, height } = structure;
  const link = fc
    .tuple(places(structure), fc.constantFrom('east' as const, 'south' as const))
    .map(([{ x, y }, side]): PhysLink => ({ x, y, side }));
  const onWafer = ({ x, y, side }: PhysLink): boolean => (side === 'east' ? x + 1 < width : y + 1 < height);
  return fc
    .tuple(fc.array(places(structure), { maxLength: 8 }), fc.array(link, { maxLength: 3 }))
    .map(([pes, links]) => createDefectMap(structure, pes, links.filter(onWafer)));
};

/** Dead PEs, links all sound, that the spares suffice for: no more rows over the spare columns than spare rows. */
export const repairableOf = (structure: WaferStructure): fc.Arbitrary<DefectMap> =>
  fc.array(places(structure), { maxLength: 12 }).map((pes) => {
    const map = createDefectMap(structure, pes);
    const byRow = Map.groupBy(map.deadPes, ({ y }) => y);
    const over = [...byRow.values()].filter((row) => row.length > spareColumns(structure));
    const excess = new Set(over.slice(spareRows(structure)).flatMap((row) => row.slice(spareColumns(structure))));
    return createDefectMap(
      structure,
      map.deadPes.filter((pe) => !excess.has(pe)),
    );
  });

export const wafersWith = (
  defects: (structure: WaferStructure) => fc.Arbitrary<DefectMap>,
): fc.Arbitrary<{ structure: WaferStructure; map: DefectMap }> =>
  structures.chain((structure) => defects(structure).map((map) => ({ structure, map })));
