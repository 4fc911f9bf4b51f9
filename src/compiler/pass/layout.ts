import { definitionOf, type Op } from '../../model/index.ts';
import { across, along, inputAxes, kernelName, outputAxisOf, type Axis } from '../../wafer/index.ts';
import type { Mesh } from '../memory.ts';
import { definePass, shapeOf, type FusedSection, type KernelLayout } from './pass.ts';

export const layout = definePass({
  name: 'layout',
  sentence: 'Says along which mesh axis each tensor is cut, so that what one matrix leaves is what the next one wants.',
  needs: ['fused', 'search'],
  gives: ['layouts'],
  run({ fused, search: { chosen } }, { wafer }) {
    const { mesh, embeddingRows, headRows } = chosen;
    const strip = (height: number): Mesh => (height === 0 ? mesh : { width: wafer.programWidth, height });
    return {
      layouts: fused.map((section) => {
        const rows = section.name === 'embedding' ? embeddingRows : section.name === 'head' ? headRows : 0;
        return { section: section.name, region: shapeOf(strip(rows)), kernels: layoutOf(section, strip(rows)) };
      }),
    };
  },
  law: ({ layouts }) =>
    layouts
      .filter(({ section }) => section.startsWith('layer'))
      .filter(({ kernels }) => kernels.at(-1)?.output !== 'y')
      .map(({ section }) => `${section} leaves its output along y, where the next one wants it`),
  show: ({ layouts }) =>
    layouts.map(({ section, region, kernels }) => ({
      section,
      region,
      kernels: kernels.map(
        ({ kernel, input, output, tile }) => `${kernel}: ${input} -> ${output}, ${tile.join(' x ')}`,
      ),
    })),
});

function layoutOf({ kernels }: FusedSection, mesh: Mesh): KernelLayout[] {
  const axes = inputAxes(kernels.flat(), 'y');
  return kernels.map((kernel) => {
    const [op] = kernel;
    const input = axes.get(op) ?? 'y';
    const output = outputAxisOf(op, input);
    return { kernel: kernelName(kernel), input, output, tile: tileOf(kernel, input, mesh) };
  });
}

function tileOf(kernel: readonly Op[], axis: Axis, mesh: Mesh): number[] {
  const [op] = kernel;
  if (op.kind !== 'linear') return [Math.ceil(definitionOf(op).width(op) / along(outputAxisOf(op, axis), mesh))];
  const outputs = kernel.reduce((sum, o) => sum + Math.ceil(definitionOf(o).width(o) / across(axis, mesh)), 0);
  return [Math.ceil(op.k / along(axis, mesh)), outputs];
}
