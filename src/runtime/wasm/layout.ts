// Where things lie in the memory that the kernels share with their callers: the control block at address 0,
// the words of an instruction, and the element formats. This file is compiled twice, as TypeScript and as
// AssemblyScript, so that both sides read the same numbers; it may hold integer constants only.

// Control block: byte offsets. Words that threads write at the same time lie on cache lines of their own.

/** Pass counter: the caller adds 1 to start a pass; threads wait on it. */
export const ctlGeneration = 0;
/** Number of the last pass that finished; the caller waits on it. */
export const ctlDone = 64;
/** Threads that have reached the barrier. */
export const ctlArrived = 128;
/** Barrier counter; waiting threads watch it. */
export const ctlPhase = 192;
/** Next unit of work of the current instruction. */
export const ctlNext = 256;
/** Threads asleep at the barrier. */
export const ctlSleepers = 320;
/** 1: threads return instead of running the pass. */
export const ctlStop = 384;

/** Number of threads; constant. */
export const ctlThreads = 448;
/** Private memory of thread t starts at ctlScratch + t * ctlScratchBytes. */
export const ctlScratch = 452;
export const ctlScratchBytes = 456;
/** Byte offsets inside the private memory; fold accumulators lie at its start. */
export const ctlScoresOffset = 460;
export const ctlPanelOffset = 464;
export const ctlValueRowsOffset = 500;
/** Instructions [body, bodyEnd) run on every row, [epilogue, epilogueEnd) on the wanted rows. */
export const ctlBody = 468;
export const ctlBodyEnd = 472;
export const ctlEpilogue = 476;
export const ctlEpilogueEnd = 480;
/** Addresses of int32 arrays, one entry a row: token id, position, address of the row's block table. */
export const ctlRowToken = 484;
export const ctlRowPosition = 488;
export const ctlRowTable = 492;
/** Address of the int32 array of rows whose logits are wanted. */
export const ctlWantedRow = 496;

/** Rows of this pass; 0 skips the body. */
export const ctlRows = 512;
/** Wanted rows of this pass; 0 skips the epilogue. */
export const ctlWanted = 516;

export const controlBytes = 576;

/**
 * Where the runs of the current attention context start in the private memory of a thread: after the accumulators,
 * at most three levels of nine vectors.
 */
export const contextRunsOffset = 448;

/** A run of tiles that one chain adds: first element, tiles, elements a tile, code. */
export const runBytes = 16;
/** A run list starts with the address after its last run, padded to this. */
export const runListHeader = 16;
/** Low bits of a run's code: how many accumulator levels to fold when the run ends. */
export const runLevelMask = 3;
/** Set in a run's code when the tiles go from high index to low. */
export const runDescending = 4;

/** An instruction is 32 words: the op, then its operands. */
export const instructionBytes = 128;

/** Output rows that one block of packed weights holds, interleaved. */
export const blockRows = 16;
/** Tokens that the fp32 and the int8 matrix kernels treat together. */
export const tokenPair = 2;
/** Three levels of sums of a pair of tokens and 8 rows. */
export const pairAccumulatorBytes = 192;
export const tokenGroup = 4;
/** Tokens in a KV cache block. */
export const blockTokens = 16;

// Formats of weights in memory.
export const formatF32 = 0;
export const formatBf16 = 1;
export const formatF16 = 2;
export const formatInt8 = 3;
export const formatFp8 = 4;
export const formatInt4 = 5;

// Types of cached keys and values.
export const cacheFp32 = 0;
export const cacheFp16 = 1;
export const cacheInt8 = 2;

// Activations of a gated linear unit.
export const activationSilu = 0;
export const activationGeluTanh = 1;
export const activationClampedSilu = 2;

// Operations. Strides are in bytes from one row to the next; addresses are in bytes.

/** out, stride, blocks, format, width, order */
export const opEmbed = 1;
/** out, stride, in, stride, weight, group width, groups, bounds of the groups' runs (groups + 1 addresses), eps (fp32 bits), bytes to copy behind the groups */
export const opNorm = 2;
/** out, k, in, stride, order */
export const opPack = 3;
/** out, pairs, in, stride, k, row scales */
export const opQuantize = 4;
/** out, stride, in (packed), k, weights, format, run list, unused, blocks, bias or 0, grain, unused, scales or 0, unused, bytes of a block's scales, table of an element's group or 0 */
export const opLinear = 5;
/** out, stride, in (quantized), pairs, weights, weight scales, row scales, unused, blocks, bias or 0, grain */
export const opLinearInt8 = 6;
/** out, stride, in, stride, heads, headDim, table, first element and width of the part to turn, whether pairs are neighbours */
export const opRope = 7;
/** k, stride, v, stride, kvHeads, headDim, cache of the layer, bytes a block, whether k alone is cached, type of what is kept */
export const opCache = 8;
/** out, stride, q, stride, heads, kvHeads, headDim, cache of the layer, bytes a block, scale (fp32 bits), window or 0, parts, group, bounds of the KV heads' runs (kvHeads + 1 addresses), soft cap (fp32 bits, 0 for none), 1 / soft cap, sinks or 0, elements of a value that are the first of its key or 0 */
export const opAttend = 9;
/** out, stride, gate, stride, up, stride, width, activation */
export const opGlu = 10;
/** out, stride, a, stride, b, stride, width */
export const opAdd = 11;
/** out, stride, in, stride, bytes: copies the wanted rows together */
export const opGather = 12;
/** out, stride, in, stride, width, factor (fp32 bits) */
export const opScale = 13;
/** out, stride, in, stride, width, cap (fp32 bits), 1 / cap */
export const opSoftcap = 14;
/** out, stride, in, stride, heads, k, elements passed, n, weights, bounds of the heads' runs (heads + 1 addresses), whether each head's runs count from its own first element */
export const opHeadLinear = 15;

// Rows grouped by expert, for a mixture of experts. An instruction on groups has their table in word 12.

/** out (routes), bytes a row, router logits, stride, experts, active experts, score, whether weights are normalized, scale (fp32 bits), bias of the choice or 0, groups of experts or 0, active groups */
export const opRoute = 16;
/** groups, unused, routes, active experts, experts, places, sources; one thread makes the table */
export const opGroup = 17;
/** out, stride, in, stride, bytes, sources, …, groups: the row of each place */
export const opSpread = 18;
/** As opPack, group by group. */
export const opPackGroups = 19;
/** As opQuantize, group by group. */
export const opQuantizeGroups = 20;
/** As opLinear, group by group; word 8: bytes from one expert's weights to the next; word 14: of its scales */
export const opLinearGroups = 21;
/** As opLinearInt8, group by group; word 8: bytes from one expert's weights to the next */
export const opLinearInt8Groups = 22;
/** As opGlu, for every place. */
export const opGluGroups = 23;
/** out, stride, in, stride, width, active experts, routes, places */
export const opMix = 24;

/** A route: expert, fp32 weight. */
export const routeBytes = 8;
/** Groups in use and places in use, padded; then each group: expert, first place, rows. */
export const groupHeader = 16;
export const groupBytes = 16;

// Scores of a router.
export const scoreSoftmax = 0;
export const scoreSigmoid = 1;
