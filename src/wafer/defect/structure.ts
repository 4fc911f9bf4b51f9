import type { SiliconFacts, Wafer } from '../../spec/index.ts';

/**
 * The physical wafer: `width` x `height` PEs in equal dies, of which repair must yield the logical rectangle.
 * Spare columns and rows are what is left over, half of them at each edge.
 */
export interface WaferStructure {
  readonly width: number;
  readonly height: number;
  readonly logicalWidth: number;
  readonly logicalHeight: number;
  readonly dieColumns: number;
  readonly dieRows: number;
}

export interface PhysPe {
  readonly x: number;
  readonly y: number;
}

export const spareColumns = (s: WaferStructure): number => s.width - s.logicalWidth;
export const spareRows = (s: WaferStructure): number => s.height - s.logicalHeight;

/** Physical place of logical (0, 0) on a wafer without defects. */
export const homeOf = (s: WaferStructure): PhysPe => ({ x: spareColumns(s) >> 1, y: spareRows(s) >> 1 });

/**
 * The structure of a wafer as its facts have it.
 * @param spares replace the assumed numbers; dies are then cut as evenly as whole PEs allow
 */
export function waferStructure(
  wafer: Pick<Wafer, 'fabricWidth' | 'fabricHeight'>,
  silicon: SiliconFacts,
  spares: { readonly columns?: number; readonly rows?: number } = {},
): WaferStructure {
  const { fabricWidth, fabricHeight } = wafer;
  return {
    width: spares.columns === undefined ? silicon.physWidth.value : fabricWidth + spares.columns,
    height: spares.rows === undefined ? silicon.physHeight.value : fabricHeight + spares.rows,
    logicalWidth: fabricWidth,
    logicalHeight: fabricHeight,
    dieColumns: silicon.dieColumns.value,
    dieRows: silicon.dieRows.value,
  };
}

/** First PE of die `die` along an axis of `length` PEs cut in `dies`; of `dies` itself, the end. */
export const dieEdge = (die: number, length: number, dies: number): number => Math.floor((die * length) / dies);
