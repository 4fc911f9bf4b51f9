// What waits in the fabric between two CEs. A path carries one wavelet a cycle only if it holds as many as its latency:
// hop + 1 between routers, ramp + 2 from the CE, ramp + 1 to it, with hop 1 and ramp 2. Messages that fit there let an
// instruction end, and the next one start up, before anybody takes them.

/** From a CE to the next router. */
export const heldBehindSender = 6;
/** From a CE to the next one. */
export const heldOnTheWay = 9;
