import { kernelName, kernelsOf } from '../../wafer/index.ts';
import { sectionsOf } from '../sections.ts';
import { definePass, type FusedSection } from './pass.ts';

export const fuse = definePass({
  name: 'fuse',
  sentence: 'Finds layers that are alike, and joins matrices with one input into one kernel.',
  needs: ['graph'],
  gives: ['sections', 'fused'],
  run({ graph }) {
    const sections = sectionsOf(graph);
    const layers = sections.kinds.map((ops, kind): FusedSection => {
      const name = sections.kinds.length === 1 ? 'layer' : `layer of kind ${kind}`;
      const alike = sections.kindOf.flatMap((k, layer) => (k === kind ? [layer] : []));
      return { name, layers: alike, kernels: kernelsOf(ops) };
    });
    return {
      sections,
      fused: [
        { name: 'embedding', layers: [], kernels: kernelsOf(graph.prologue) },
        ...layers,
        { name: 'head', layers: [], kernels: kernelsOf(graph.epilogue) },
      ],
    };
  },
  law({ sections, fused, graph }) {
    const layers = fused.flatMap((section) => section.layers).sort((a, b) => a - b);
    const ops = [graph.prologue, ...sections.kinds, graph.epilogue].flat().length;
    return [
      ...(layers.join() === [...graph.layers.keys()].join() ? [] : ['every layer is of one kind']),
      ...(fused.flatMap(({ kernels }) => kernels.flat()).length === ops ? [] : ['every op is in one kernel']),
    ];
  },
  show: ({ fused }) =>
    fused.map(({ name, layers, kernels }) => ({
      section: name,
      ...(layers.length === 0 ? {} : { layers: layers.length }),
      kernels: kernels.map((kernel) => `${kernel[0].kind} ${kernelName(kernel)}`),
    })),
});
