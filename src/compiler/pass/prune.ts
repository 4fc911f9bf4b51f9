import { parameterCount, prunedGraph, pruningText } from '../../model/index.ts';
import { definePass } from './pass.ts';

export const prune = definePass({
  name: 'prune',
  sentence:
    'Leaves weights out, where that is asked for: zeros change no shape, channels that go make matrices smaller.',
  needs: [],
  gives: ['graph'],
  run: (_, { graph, pruning }) => ({ graph: pruning === undefined ? graph : prunedGraph(graph, pruning) }),
  law: ({ graph }, { graph: whole }) =>
    parameterCount(graph.shape) <= parameterCount(whole.shape) && graph.layers.length === whole.layers.length
      ? []
      : ['pruning adds nothing and takes no layer'],
  show: ({ graph }, { graph: whole, pruning }) => ({
    pruning: pruning === undefined ? 'none' : pruningText(pruning),
    parameters: parameterCount(whole.shape),
    left: parameterCount(graph.shape),
  }),
});
