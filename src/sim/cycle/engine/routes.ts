// The engine of compiled routes: the plain one, but straight parts of routes are wires (see wires.ts), so a
// wavelet costs the same whether it passes one router or nine hundred.

import { createCyclewise } from './cyclewise.ts';
import type { EngineKind } from './engine.ts';
import { mapWires } from './wire-map.ts';

/** Wires that hold less than this share of all channels cost everybody more than they save. */
const worthwhile = 1 / 4;

export const routes: EngineKind = {
  id: 'routes',
  about: 'cycle by cycle, but a wavelet passes straight parts of its route in one step',
  certain: true,
  usesFifos: true,
  refuses(_resolved, timing, { observer }) {
    if (observer?.moved !== undefined) return 'it sees no single hops, which a trace and the critical path watch';
    if (timing.linkPeriod > 1) return 'links of this wafer carry less than one wavelet a cycle';
    return undefined;
  },
  create(m, timing, options) {
    const map = mapWires(m);
    return createCyclewise(
      m,
      timing,
      options,
      map.channels.length < worthwhile * m.resolved.channels ? undefined : map,
    );
  },
};
