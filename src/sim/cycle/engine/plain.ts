// The plain engine, the definition of timing: five-port routers with one FIFO per input and color, each visited
// in every cycle in which it may move a wavelet. The others are held to it.

import { createCyclewise } from './cyclewise.ts';
import type { EngineKind } from './engine.ts';

export const plain: EngineKind = {
  id: 'plain',
  about: 'every router that holds a wavelet, cycle by cycle: the definition',
  certain: true,
  usesFifos: true,
  refuses: () => undefined,
  create: (m, timing, options) => createCyclewise(m, timing, options),
};
