// Defect maps drawn from a density. Killer defects fall as a Poisson process; where they cluster, the density
// of each die is itself drawn from a gamma distribution, so that counts per die are negative-binomial.
// Sources: Stapper, "Defect density distribution for LSI yield calculations", IEEE Trans. Electron Devices 20(7),
// 1973 (gamma); Koren, Koren and Stapper, "A unified negative-binomial distribution for yield analysis of
// defect-tolerant circuits", IEEE Trans. Computers 42(6), 1993 (blocks of equal density; ours is the die).

import type { Rng } from '../../core/index.ts';
import { createDefectMap, type DefectMap, type PhysLink } from './defect-map.ts';
import { dieEdge, type PhysPe, type WaferStructure } from './structure.ts';

export interface DefectProcess {
  /** Killer defects per mm². */
  readonly density: number;
  /** mm² per PE. */
  readonly peArea: number;
  /** Share of killer defects that hit a link; the rest kill a PE. */
  readonly linkShare: number;
  /** Shape of the gamma distribution of a die's density: small is clustered. Absent: Poisson. */
  readonly clustering?: number;
}

/** Killer defects that a wafer is expected to have. */
export const expectedDefects = (structure: WaferStructure, process: DefectProcess): number =>
  structure.width * structure.height * process.peArea * process.density;

/** One wafer's defects. Several may hit one PE, so the map can hold fewer than were drawn. */
export function drawDefects(structure: WaferStructure, process: DefectProcess, rng: Rng): DefectMap {
  const { width, height, dieColumns, dieRows } = structure;
  const { density, peArea, linkShare, clustering } = process;
  const deadPes: PhysPe[] = [];
  const deadLinks: PhysLink[] = [];
  for (let dieY = 0; dieY < dieRows; dieY++) {
    for (let dieX = 0; dieX < dieColumns; dieX++) {
      const [west, east] = [dieEdge(dieX, width, dieColumns), dieEdge(dieX + 1, width, dieColumns)];
      const [north, south] = [dieEdge(dieY, height, dieRows), dieEdge(dieY + 1, height, dieRows)];
      const mean = (east - west) * (south - north) * peArea * density;
      const factor = clustering === undefined ? 1 : drawGamma(clustering, rng) / clustering;
      for (let n = drawPoisson(mean * factor, rng); n > 0; n--) {
        const x = west + Math.floor(rng.uniform() * (east - west));
        const y = north + Math.floor(rng.uniform() * (south - north));
        const link = rng.uniform() < linkShare ? drawLink({ x, y }, structure, rng) : undefined;
        if (link === undefined) deadPes.push({ x, y });
        else deadLinks.push(link);
      }
    }
  }
  return createDefectMap(structure, deadPes, deadLinks);
}

/** A link of the PE, on the other side where the wafer ends; none on a line of one PE. */
function drawLink({ x, y }: PhysPe, { width, height }: WaferStructure, rng: Rng): PhysLink | undefined {
  if (rng.uniform() < 0.5) return width < 2 ? undefined : { x: Math.min(x, width - 2), y, side: 'east' };
  return height < 2 ? undefined : { x, y: Math.min(y, height - 2), side: 'south' };
}

/** Arrivals of a unit-rate Poisson process in [0, mean). Takes time in proportion to the mean. */
export function drawPoisson(mean: number, rng: Rng): number {
  let count = 0;
  for (let time = drawExponential(rng); time < mean; time += drawExponential(rng)) count++;
  return count;
}

const drawExponential = (rng: Rng): number => -Math.log(1 - rng.uniform());

/** Gamma distribution of the given shape and scale 1 (Marsaglia and Tsang, ACM TOMS 26(3), 2000). */
export function drawGamma(shape: number, rng: Rng): number {
  if (shape < 1) return drawGamma(shape + 1, rng) * (1 - rng.uniform()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const z = rng.normal();
    const v = (1 + c * z) ** 3;
    if (v > 0 && Math.log(1 - rng.uniform()) < (z * z) / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}
