// Every kernel that is lowered, ready to be run with drawn tensors and checked: what `ingot simulate` lists.

import { createRng, fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { collectives, groupSize } from '../collective/index.ts';
import type { MachineProgram, MemoryImage, MemoryReader } from '../machine/index.ts';
import type { Phase, VectorType } from '../phase.ts';
import { lowerAdd } from './add.ts';
import { lowerAttention } from './attention.lower.ts';
import { attentionReference } from './attention.reference.ts';
import { lowerGlu } from './glu.ts';
import { lowerLinear } from './linear.lower.ts';
import type { LoweredKernel, Tensors } from './lower/lowering.ts';
import type { Mesh } from './lower/sequence.ts';
import { lowerRmsNorm } from './rmsnorm.ts';
import { lowerRope } from './rope.ts';
import { lowerShiftGemm } from './shift-gemm.lower.ts';

/** A size that a person may choose. */
export interface KernelSize {
  readonly about: string;
  readonly max: number;
  /** Without a choice, on this mesh. */
  readonly otherwise: (mesh: Mesh) => number;
}

export interface KernelPoint extends Mesh {
  readonly type: VectorType;
  readonly sizes: Readonly<Record<string, number>>;
  /** Of the tensors. */
  readonly seed: number;
}

/** Of the values that a run leaves, how many were compared, and how many are within the error that rounding allows. */
export interface KernelCheck {
  readonly checked: number;
  readonly correct: number;
}

export interface BuiltKernel {
  readonly program: MachineProgram;
  readonly phases: readonly Phase[];
  inputs(): Iterable<MemoryImage>;
  check(memory: MemoryReader): KernelCheck;
}

export interface Lowering {
  readonly id: string;
  /** One line for people. */
  readonly about: string;
  readonly sizes: Readonly<Record<string, KernelSize>>;
  /** @throws IngotError KERNEL_SHAPE when the sizes do not suit the mesh */
  build(point: KernelPoint, wafer: Wafer): BuiltKernel;
}

/** What a value should be, and how far it may be off. */
interface Expected {
  readonly value: number;
  readonly error: number;
}

/** Values in [-1, 1) that both types hold: multiples of 1/64. */
const draw = (length: number, seed: number, label: string): Float32Array => {
  const rng = createRng(seed).fork(label);
  return Float32Array.from({ length }, () => (rng.u32() >>> 25) / 64 - 1);
};

/** Half a unit in the last place. */
const unit = { fp16: 2 ** -11, fp32: 2 ** -24 } as const;
/** Below the normal numbers of fp16, errors are absolute. */
const smallest = { fp16: 2 ** -14, fp32: 2 ** -126 } as const;

/** n roundings err by at most n u / (1 - n u) of the magnitudes that were added (Higham 2002, section 3.1). */
function roundings(n: number, type: VectorType): number {
  const error = n * unit[type];
  return error < 0.5 ? error / (1 - error) : 1;
}

const relative = (value: number, units: number, type: VectorType): Expected => ({
  value,
  error: units * unit[type] * Math.max(Math.abs(value), smallest[type]),
});

function built(kernel: LoweredKernel, tensors: Tensors, expected: () => Iterable<Expected>): BuiltKernel {
  return {
    program: kernel.program,
    phases: kernel.phases,
    inputs: () => kernel.inputs(tensors),
    check: (memory) => {
      const found = kernel.readback(memory);
      let checked = 0;
      let correct = 0;
      for (const { value, error } of expected()) if (Math.abs(found[checked++] - value) <= error) correct++;
      return { checked, correct };
    },
  };
}

/** Sum of a[i] · b[i] for i < length, and of the magnitudes. */
function dot(length: number, a: (i: number) => number, b: (i: number) => number): { sum: number; magnitude: number } {
  let sum = 0;
  let magnitude = 0;
  for (let i = 0; i < length; i++) {
    const term = a(i) * b(i);
    sum += term;
    magnitude += Math.abs(term);
  }
  return { sum, magnitude };
}

const dimension = (about: string): KernelSize => ({
  about: `${about} (default: 8 per PE of the longer side)`,
  max: 131_072,
  otherwise: ({ width, height }) => 8 * Math.max(width, height),
});
const groupAlong = (side: 'width' | 'height'): KernelSize => ({
  about: 'PEs per group of the collective (default: the square root of the line)',
  max: 10_000,
  otherwise: (mesh) => groupSize(mesh[side]),
});

/** The collective that the closed forms of decode presume. */
const usual = 'two-level';

const gemvs = Object.values(collectives)
  .filter(({ id }) => id !== 'broadcast')
  .map(
    (collective): Lowering => ({
      id: collective.id === usual ? 'gemv' : `gemv-${collective.id}`,
      about: `y = W x for one token, sums along columns by ${collective.id}`,
      sizes: {
        k: dimension('inputs, cut along columns'),
        n: dimension('outputs, cut along rows'),
        group: groupAlong('height'),
      },
      build({ width, height, type, sizes: { k, n, group }, seed }, wafer) {
        const x = draw(k, seed, 'x');
        const w = draw(n * k, seed, 'w');
        const kernel = lowerLinear({ width, height, axis: 'y', type, k, n, bias: false, collective, group }, wafer);
        const error = roundings(k + height, type);
        return built(kernel, { x, w }, function* () {
          for (let j = 0; j < n; j++) {
            const { sum, magnitude } = dot(
              k,
              (i) => w[j * k + i],
              (i) => x[i],
            );
            yield { value: sum, error: error * magnitude };
          }
        });
      },
    }),
  );

const elementwise = { size: dimension('elements, cut along columns') };

const addition: Lowering = {
  id: 'add',
  about: 'y = a + b, the residual addition',
  sizes: elementwise,
  build({ width, height, type, sizes: { size }, seed }, wafer) {
    const [a, b] = [draw(size, seed, 'a'), draw(size, seed, 'b')];
    return built(lowerAdd({ width, height, axis: 'y', type, size }, wafer), { a, b }, function* () {
      for (let i = 0; i < size; i++) yield relative(a[i] + b[i], 1, type);
    });
  },
};

const norm: Lowering = {
  id: 'rmsnorm',
  about: 'y = x / rms(x) · w, the sum of squares all-reduced along columns',
  sizes: { ...elementwise, group: groupAlong('height') },
  build({ width, height, type, sizes: { size, group }, seed }, wafer) {
    const [x, w] = [draw(size, seed, 'x'), draw(size, seed, 'w')];
    const eps = 1e-5;
    const collective = collectives[usual];
    const kernel = lowerRmsNorm({ width, height, axis: 'y', type, size, eps, collective, group }, wafer);
    const scale =
      1 /
      Math.sqrt(
        dot(
          size,
          (i) => x[i],
          (i) => x[i],
        ).sum /
          size +
          eps,
      );
    return built(kernel, { x, w }, function* () {
      const units = (Math.ceil(size / height) + height) / 2 + 10;
      for (let i = 0; i < size; i++) yield relative(x[i] * scale * w[i], units, type);
    });
  },
};

const rotation: Lowering = {
  id: 'rope',
  about: 'pairs turned by their angles, cut along columns',
  sizes: { pairs: dimension('pairs') },
  build({ width, height, type, sizes: { pairs }, seed }, wafer) {
    const [a, b, cos, sin] = ['a', 'b', 'cos', 'sin'].map((name) => draw(pairs, seed, name));
    const kernel = lowerRope({ width, height, axis: 'y', type, pairs }, wafer);
    return built(kernel, { a, b, cos, sin }, function* () {
      const error = (i: number): number => 3 * unit[type] * (Math.abs(a[i]) + Math.abs(b[i]));
      for (let i = 0; i < pairs; i++) yield { value: a[i] * cos[i] - b[i] * sin[i], error: error(i) };
      for (let i = 0; i < pairs; i++) yield { value: b[i] * cos[i] + a[i] * sin[i], error: error(i) };
    });
  },
};

const gated: Lowering = {
  id: 'glu',
  about: 'y = silu(gate) · up, with the exponential of the executors',
  sizes: elementwise,
  build({ width, height, type, sizes: { size }, seed }, wafer) {
    const gate = draw(size, seed, 'gate').map((v) => 8 * v);
    const up = draw(size, seed, 'up');
    return built(lowerGlu({ width, height, axis: 'y', type, size }, wafer), { gate, up }, function* () {
      for (let i = 0; i < size; i++) {
        const { value, error } = relative((gate[i] / (1 + Math.exp(-gate[i]))) * up[i], 12, type);
        yield { value, error: error + 2 * smallest[type] * unit[type] };
      }
    });
  },
};

const attending: Lowering = {
  id: 'attention',
  about: 'softmax(q K) V of one token, channels along rows, positions along columns, sums by chain',
  sizes: {
    heads: { about: 'heads, each on an equal part of a row (default: 1)', max: 1024, otherwise: () => 1 },
    'head-dim': {
      about: 'channels of a head (default: 4 per PE of a head)',
      max: 8192,
      otherwise: ({ width }) => 4 * width,
    },
    cached: {
      about: 'positions in the cache (default: 8 per row of PEs)',
      max: 1_000_000,
      otherwise: ({ height }) => 8 * height,
    },
  },
  build({ width, height, type, sizes, seed }, wafer) {
    const { heads, 'head-dim': headDim, cached } = sizes;
    const channels = heads * headDim;
    const tensors = {
      // The scale of attention is part of q.
      q: draw(channels, seed, 'q').map((v) => v * 2 ** -Math.round(Math.log2(headDim) / 2)),
      k: draw(channels, seed, 'k'),
      v: draw(channels, seed, 'v'),
      cacheK: draw(channels * cached, seed, 'cacheK'),
      cacheV: draw(channels * cached, seed, 'cacheV'),
    };
    const spec = { width, height, axis: 'x', type, heads, headDim, cached } as const;
    const kernel = lowerAttention({ ...spec, collective: collectives['chain'], group: groupSize }, wafer);
    return built(kernel, tensors, function* () {
      const { out, score, largest } = attentionReference(spec, tensors);
      // A score's error is a relative one of its weight; see the test of the kernel.
      const additions = (headDim + width) * score * 2 + 2 * (cached + height) + 20;
      for (const value of out) yield { value, error: additions * unit[type] * largest };
    });
  },
};

const gemm: Lowering = {
  id: 'gemm',
  about: 'C = A B by interleaved cyclic shift on a square mesh',
  sizes: { m: dimension('rows of A'), k: dimension('columns of A'), n: dimension('columns of B') },
  build({ width, height, type, sizes: { m, k, n }, seed }, wafer) {
    if (width !== height)
      fail({
        code: 'KERNEL_SHAPE',
        message: `the cyclic shift runs on a square mesh, not on ${width} x ${height} PEs`,
        expected: 'as many rows as columns',
      });
    const [a, b] = [draw(m * k, seed, 'a'), draw(k * n, seed, 'b')];
    return built(lowerShiftGemm({ side: width, type, m, k, n }, wafer), { a, b }, function* () {
      for (let row = 0; row < m; row++)
        for (let column = 0; column < n; column++) {
          const { sum, magnitude } = dot(
            k,
            (i) => a[row * k + i],
            (i) => b[i * n + column],
          );
          yield { value: sum, error: roundings(k, type) * magnitude };
        }
    });
  },
};

/** Every lowered kernel by id. */
export const lowerings: Readonly<Record<string, Lowering>> = Object.fromEntries(
  [...gemvs, addition, norm, rotation, gated, attending, gemm].map((lowering) => [lowering.id, lowering]),
);
