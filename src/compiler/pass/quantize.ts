import { parameterCount } from '../../model/index.ts';
import { definePass } from './pass.ts';

export const quantize = definePass({
  name: 'quantize',
  sentence: 'Gives weights, activations and KV cache their element types.',
  needs: ['graph'],
  gives: ['numerics'],
  run: (_, { numerics }) => ({ numerics }),
  law: () => [],
  show: ({ numerics, graph }) => ({ ...numerics, parameters: parameterCount(graph.shape) }),
});
