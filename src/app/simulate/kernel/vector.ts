// Kernels on vectors that lie cut along x, the same on every row. Error bounds as in the kernels' own tests.

import { lowerAdd, lowerGlu, lowerRmsNorm, lowerRope, lowerSoftmax } from '../../../wafer/index.ts';
import type { Point } from '../point.ts';
import type { Size } from '../target.ts';
import { groupAlong, reduceOf, relativeError, sums, tensor, unitRoundoff, type KernelEntry } from './kernel-case.ts';

const n: Size = {
  about: 'length of the vectors, cut along x (default: 8 per PE)',
  max: 1_048_576,
  otherwise: ({ width }) => 8 * width,
};

const along = ({ width, height, type }: Point) => ({ width, height, type, axis: 'x' }) as const;
/** Tensors cut along x have a copy on every row. */
const copies = ({ width, height, sizes }: Point): number => height * (sizes['n'] + width);

export const add: KernelEntry = {
  id: 'add',
  about: 'a + b, element by element',
  sizes: { n },
  elements: (point) => 3 * copies(point),
  build(point, wafer) {
    const size = point.sizes['n'];
    const [a, b] = [tensor(size, point, 'a'), tensor(size, point, 'b')];
    return {
      kernel: lowerAdd({ ...along(point), size }, wafer),
      tensors: { a, b },
      outcomes: size,
      expected: (i) => ({ value: a[i] + b[i], error: unitRoundoff[point.type] * Math.abs(a[i] + b[i]) }),
    };
  },
};

export const glu: KernelEntry = {
  id: 'glu',
  about: 'silu(gate) up, element by element: exponential, division, product',
  sizes: { n },
  switches: { gelu: 'the tanh form of GELU instead of SiLU' },
  elements: (point) => 10 * copies(point),
  build(point, wafer) {
    const size = point.sizes['n'];
    const [gate, up] = [tensor(size, point, 'gate'), tensor(size, point, 'up')];
    const activation = point.switches?.includes('gelu') === true ? 'gelu-tanh' : 'silu';
    return {
      kernel: lowerGlu({ ...along(point), size, activation }, wafer),
      tensors: { gate, up },
      outcomes: size,
      expected: (i) => {
        const x = gate[i];
        const u = activation === 'silu' ? x : 2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
        const value = (x / (1 + Math.exp(-u))) * up[i];
        // Gates are at most 1, so GELU's argument is at most 1.7 and errs by a few units, and so does its exponential.
        return { value, error: (activation === 'silu' ? 12 : 20) * unitRoundoff[point.type] * Math.abs(value) };
      },
    };
  },
};

export const rope: KernelEntry = {
  id: 'rope',
  about: 'pairs of elements turned by their angles; n pairs',
  sizes: { n },
  elements: (point) => 8 * copies(point),
  build(point, wafer) {
    const pairs = point.sizes['n'];
    const [a, b, cos, sin] = ['a', 'b', 'cos', 'sin'].map((label) => tensor(pairs, point, label));
    return {
      kernel: lowerRope({ ...along(point), pairs }, wafer),
      tensors: { a, b, cos, sin },
      outcomes: 2 * pairs,
      expected: (at) => {
        const i = at % pairs;
        const value = at < pairs ? a[i] * cos[i] - b[i] * sin[i] : b[i] * cos[i] + a[i] * sin[i];
        return { value, error: 3 * unitRoundoff[point.type] * (Math.abs(a[i]) + Math.abs(b[i])) };
      },
    };
  },
};

const group = groupAlong('row');

export const softmax: KernelEntry = {
  id: 'softmax',
  about: 'exp(x - max x) over the whole vector, divided by their sum; both all-reduced along x',
  sizes: { n, group },
  reduces: sums,
  elements: (point) => 4 * copies(point),
  build(point, wafer) {
    const { n: size } = point.sizes;
    const x = tensor(size, point, 'x');
    const most = x.reduce((largest, v) => Math.max(largest, v), -Infinity);
    const sum = x.reduce((all, v) => all + Math.exp(v - most), 0);
    // Half of the sum's relative error, for all terms are positive, and of the exponential's and four roundings.
    const roundings = (Math.ceil(size / point.width) + point.width) / 2 + 12;
    return {
      kernel: lowerSoftmax({ ...along(point), size, collective: reduceOf(point), group: point.sizes['group'] }, wafer),
      tensors: { x },
      outcomes: size,
      expected: (i) => {
        const value = Math.exp(x[i] - most) / sum;
        return { value, error: relativeError(roundings, point.type) * value + smallestStep[point.type] };
      },
    };
  },
};

/** Half of the distance between numbers next to zero. */
const smallestStep = { fp16: 2 ** -25, fp32: 2 ** -150 } as const;

const EPS = 1e-5;

export const rmsnorm: KernelEntry = {
  id: 'rmsnorm',
  about: 'x / rms(x) w over the whole vector, its squares summed along x',
  sizes: { n, group },
  reduces: sums,
  elements: (point) => 4 * copies(point),
  build(point, wafer) {
    const { n: size, group: perGroup } = point.sizes;
    const [x, w] = [tensor(size, point, 'x'), tensor(size, point, 'w')];
    const scale = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / size + EPS);
    // Half of the sum's relative error (all terms are positive), and of 1 / n, eps and six roundings.
    const roundings = (Math.ceil(size / point.width) + point.width) / 2 + 10;
    return {
      kernel: lowerRmsNorm({ ...along(point), size, eps: EPS, collective: reduceOf(point), group: perGroup }, wafer),
      tensors: { x, w },
      outcomes: size,
      expected: (i) => ({
        value: x[i] * scale * w[i],
        error: roundings * unitRoundoff[point.type] * Math.abs(x[i] * scale * w[i]),
      }),
    };
  },
};
