// The fast executor: a program's arithmetic in WASM SIMD on one or two threads with one shared memory. The calling
// thread only writes down what a pass should do and waits for it without blocking.

import { Worker } from 'node:worker_threads';
import { fail } from '../../core/index.ts';
import type { WeightSource } from '../../model/index.ts';
import { requireExecutableProgram, weightsOfProgram, type Program } from '../../wafer/index.ts';
import { loadKernels } from '../wasm/kernels.node.ts';
import { instantiate, memoryLimitBytes, pageBytes, type Kernels } from '../wasm/kernels.ts';
import * as layout from '../wasm/layout.ts';
import { createBatchCheck, cutIntoPasses, type BatchLimits, type Pass } from './batch.ts';
import type { Batch, Executor } from './executor.ts';
import { checkpointBytes, fillTables, loadWeights, lookUp, type OnProgress } from './fill-memory.ts';
import { askForHugePages } from './huge-pages.node.ts';
import { lower } from './lower.ts';
import type { LowerOptions, Lowered } from './lowered.ts';

export interface ProgramExecutorOptions {
  readonly program: Program;
  /** Stays in use until the executor is closed: a table of embeddings is read as tokens need it. */
  readonly weights: WeightSource;
  /** Kernel threads, besides the calling thread, which stays free. Default 1. */
  readonly threads?: 1 | 2;
  /** Tokens of KV cache over all sequences, rounded up to whole blocks. */
  readonly kvTokens: number;
  /** Tokens that one step may process. Default 512. */
  readonly maxStepTokens?: number;
  /** Called as weights load, with bytes of the checkpoint done and in all. */
  readonly onProgress?: OnProgress;
}

export interface MemoryEstimate {
  /** Packed weights. */
  readonly weights: number;
  readonly kv: number;
  /** Values, tables, staging and private memory of the threads. */
  readonly work: number;
  readonly total: number;
}

/** Tokens per pass: enough that reading the weights is a small part of the work. */
const passRows = 128;
/** Logits rows per pass. */
const passWanted = 32;
/** Bytes to load before other work of the process gets its turn: a few milliseconds' worth. */
const loadSlice = 8 * 1024 * 1024;

function geometry({
  program,
  weights,
  threads = 1,
  kvTokens,
  maxStepTokens = 512,
}: ProgramExecutorOptions): LowerOptions {
  requireExecutableProgram(program);
  for (const [name, value, least, most] of [
    ['threads', threads, 1, 2],
    ['kvTokens', kvTokens, 1, 2 ** 30],
    ['maxStepTokens', maxStepTokens, 1, 2 ** 20],
  ] as const) {
    if (Number.isInteger(value) && value >= least && value <= most) continue;
    fail({
      code: 'EXECUTOR_OPTION_INVALID',
      message: `${name} is out of range`,
      where: name,
      expected: `a whole number from ${least} to ${most}`,
      found: String(value),
    });
  }
  const blocks = Math.ceil(kvTokens / layout.blockTokens);
  return {
    threads,
    rows: Math.min(passRows, maxStepTokens),
    wantedRows: Math.min(passWanted, maxStepTokens),
    blocks,
    maxContext: Math.min(program.graph.shape.maxContext, blocks * layout.blockTokens),
    dtype: (name) => (weights.has(name) ? weights.dtype(name) : 'f32'),
  };
}

/**
 * Bytes of memory that an executor with these options would take; the JavaScript engine needs some 60 MB more.
 * @throws IngotError as `createProgramExecutor`, but for what only reading the weights can show
 */
export function estimateExecutorMemory(options: Omit<ProgramExecutorOptions, 'onProgress'>): MemoryEstimate {
  const { bytesByUse, totalBytes } = lower(options.program, geometry(options));
  return { ...bytesByUse, total: totalBytes };
}

/**
 * Load a program's weights and start its threads.
 * @throws IngotError ARCH_UNSUPPORTED, PROGRAM_STAGES_INVALID, PROGRAM_NUMERICS_UNSUPPORTED, EXECUTOR_OPTION_INVALID,
 * EXECUTOR_MEMORY, EXECUTOR_KERNELS_MISSING, WEIGHT_MISSING, WEIGHT_SHAPE, WEIGHT_NOT_FINITE
 */
export async function createProgramExecutor(options: ProgramExecutorOptions): Promise<Executor<Float32Array>> {
  const { program, onProgress, maxStepTokens = 512 } = options;
  const weights = weightsOfProgram(program, options.weights);
  const sizes = geometry(options);
  const lowered = lower(program, sizes);
  const memory = allocate(lowered.totalBytes);
  await askForHugePages(memory);
  const buffer = memory.buffer as unknown as SharedArrayBuffer;
  const module = await loadKernels();
  const kernels = instantiate(module, memory);
  fillTables(buffer, kernels, lowered, sizes.threads, sizes.maxContext);

  const total = checkpointBytes(lowered, weights);
  let done = 0;
  let slice = 0;
  for (const { bytes } of loadWeights(buffer, kernels, lowered, weights, program.numerics)) {
    done += bytes;
    slice += bytes;
    if (slice < loadSlice) continue;
    slice = 0;
    onProgress?.(done, total);
    await new Promise((resolve) => setImmediate(resolve));
  }
  onProgress?.(total, total);

  const limits = {
    vocab: program.graph.shape.vocab,
    maxContext: sizes.maxContext,
    blocks: sizes.blocks,
    maxStepTokens,
    hiddenWidth: program.graph.shape.hidden,
  };
  return startExecutor({ module, memory, buffer, kernels, lowered, weights, sizes, limits });
}

function allocate(bytes: number): WebAssembly.Memory {
  const tooLarge = (cause?: unknown): never => {
    const found = `${(bytes / 2 ** 30).toFixed(2)} GiB`;
    return fail({
      code: 'EXECUTOR_MEMORY',
      message: 'the executor needs more memory than it can have',
      expected:
        cause === undefined ? 'less than 4 GiB, the reach of 32-bit WebAssembly' : 'memory that the system grants',
      found,
      suggestion: 'use int8 weights or fewer KV tokens',
    });
  };
  if (bytes >= memoryLimitBytes) tooLarge();
  const pages = Math.ceil(bytes / pageBytes);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    return tooLarge(cause);
  }
}

interface Loaded {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly buffer: SharedArrayBuffer;
  readonly kernels: Kernels;
  readonly lowered: Lowered;
  readonly weights: WeightSource;
  readonly sizes: LowerOptions;
  readonly limits: BatchLimits & { readonly hiddenWidth: number };
}

function startExecutor({
  module,
  memory,
  buffer,
  kernels,
  lowered,
  weights,
  sizes,
  limits,
}: Loaded): Executor<Float32Array> {
  const words = new Int32Array(buffer);
  const floats = new Float32Array(buffer);
  const { addresses, tableEntries } = lowered;
  const check = createBatchCheck(limits);
  const pool: Float32Array[] = [];
  let closed = false;
  let running: Promise<unknown> | undefined;
  let generation = 0;

  const workers = Array.from(
    { length: sizes.threads },
    (_, thread) =>
      new Worker(new URL('./thread.mjs', import.meta.url), {
        workerData: { module, memory, thread },
        name: `ingot-kernel-${thread}`,
        // The threads run WebAssembly only.
        resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 16 },
      }),
  );
  let failure: unknown;
  for (const worker of workers) {
    worker.on('error', (error) => {
      failure = error;
      Atomics.notify(words, layout.ctlDone / 4);
    });
    // An idle executor does not keep the process alive.
    worker.unref();
  }

  const epilogueEnd = (instructions: number): number => addresses.epilogue + instructions * layout.instructionBytes;

  const runPass = async ({ rows, wanted, hidden }: Pass): Promise<void> => {
    words[layout.ctlRows / 4] = rows.length;
    words[layout.ctlWanted / 4] = wanted.length;
    words[layout.ctlEpilogueEnd / 4] = epilogueEnd(hidden ? lowered.hiddenInstructions : lowered.epilogue.length);
    generation = (generation + 1) & 0x3fffffff;
    Atomics.store(words, layout.ctlGeneration / 4, generation);
    Atomics.notify(words, layout.ctlGeneration / 4);
    for (;;) {
      const seen = Atomics.load(words, layout.ctlDone / 4);
      if (seen === generation) return;
      if (failure !== undefined) throw failure;
      const wait = Atomics.waitAsync(words, layout.ctlDone / 4, seen);
      if (wait.async) await wait.value;
    }
  };

  const writePass = (pass: Pass, batch: Batch): void => {
    let table = -1;
    let tableItem = -1;
    for (const [row, { item, token, position }] of pass.rows.entries()) {
      if (item !== tableItem) {
        tableItem = item;
        table = addresses.tables + row * tableEntries * 4;
        words.set(batch.items[item].blockTable.subarray(0, tableEntries), table / 4);
      }
      words[addresses.rowToken / 4 + row] = token;
      words[addresses.rowPosition / 4 + row] = position;
      words[addresses.rowTable / 4 + row] = table;
    }
    words.set(pass.wanted, addresses.wantedRow / 4);
    const tokens = pass.rows.map(({ token }) => token);
    for (const table of lowered.tables) lookUp(buffer, kernels, lowered, weights, table, tokens);
  };

  const step = async (batch: Batch): Promise<Float32Array[][]> => {
    const results: Float32Array[][] = batch.items.map(() => []);
    let used = 0;
    const { logits, logitsStride, hidden, hiddenStride } = addresses;
    for (const pass of cutIntoPasses(batch, sizes.rows, sizes.wantedRows)) {
      writePass(pass, batch);
      await runPass(pass);
      for (const [i, item] of pass.items.entries()) {
        if (pass.hidden) {
          const from = (hidden + i * hiddenStride) / 4;
          results[item].push(floats.slice(from, from + limits.hiddenWidth));
          continue;
        }
        const target = (pool[used] ??= new Float32Array(limits.vocab));
        used++;
        const from = (logits + i * logitsStride) / 4;
        target.set(floats.subarray(from, from + limits.vocab));
        results[item].push(target);
      }
    }
    return results;
  };

  return {
    ...limits,
    blockTokens: layout.blockTokens,
    async execute(batch) {
      if (failure !== undefined) throw failure;
      if (closed) fail({ code: 'EXECUTOR_CLOSED', message: 'the executor is closed' });
      if (running !== undefined) fail({ code: 'EXECUTOR_BUSY', message: 'the executor runs one step at a time' });
      check(batch);
      for (const worker of workers) worker.ref();
      const results = step(batch);
      running = results;
      try {
        return await results;
      } finally {
        running = undefined;
        for (const worker of workers) worker.unref();
      }
    },
    async close() {
      if (closed) return;
      closed = true;
      await running?.catch(() => undefined);
      Atomics.store(words, layout.ctlStop / 4, 1);
      Atomics.store(words, layout.ctlGeneration / 4, generation + 1);
      Atomics.notify(words, layout.ctlGeneration / 4);
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
