// A wafer with defects, repaired: what a program on it has to go around.

import { createRng } from '../core/index.ts';
import type { Detours } from '../compiler/index.ts';
import { findWafer, resolveWafer, silicon } from '../spec/index.ts';
import { drawDefects, regionDetours, repair, waferStructure, type DefectMap, type Region } from '../wafer/index.ts';

/** Where defects are from: a map, or a seed to draw them with at the wafer's own density, as `ingot yield` does. */
export type Defects = { readonly map: DefectMap; readonly file: string } | { readonly seed: number };

export interface RepairedWafer {
  readonly from: { readonly file: string } | { readonly seed: number };
  readonly deadPes: number;
  readonly deadLinks: number;
  readonly shiftedRows: number;
  /** Of a region of the program rectangle. */
  detours(region: Region): Detours;
}

/**
 * Repair a wafer for programs. The program rectangle lies in the middle of the fabric, as the margins that the host copy
 * takes are published for both sides together.
 * @throws IngotError WAFER_UNKNOWN, DEFECT_MAP_MISMATCH, DEFECTS_UNREPAIRABLE
 */
export function repairedWafer(id: string, defects: Defects): RepairedWafer {
  const wafer = resolveWafer(findWafer(id));
  const facts = silicon[id];
  const structure = waferStructure(wafer, facts);
  const process = {
    density: facts.defectDensity.value,
    peArea: facts.peArea.value,
    linkShare: facts.linkShare.value,
  };
  const map = 'map' in defects ? defects.map : drawDefects(structure, process, createRng(defects.seed).fork('wafer 1'));
  const repaired = repair(map, structure);
  const west = Math.ceil((wafer.fabricWidth - wafer.programWidth) / 2);
  const north = Math.ceil((wafer.fabricHeight - wafer.programHeight) / 2);
  return {
    from: 'map' in defects ? { file: defects.file } : { seed: defects.seed },
    deadPes: map.deadPes.length,
    deadLinks: map.deadLinks.length,
    shiftedRows: repaired.shifted.size,
    detours: (region) => regionDetours(repaired, { ...region, x: region.x + west, y: region.y + north }),
  };
}
