// The size of a model in a program's formats, wherever it is placed.

import { definitionOf, opsOf, type Graph, type Op } from '../model/index.ts';
import { heldEmbedding, heldMatrix, heldTable } from './held-weights.ts';
import type { Numerics } from './program.ts';
import { formatOf, groupOf, type WeightFormat } from './weight-formats.ts';

function bytesOfRows(format: WeightFormat, rows: number, k: number): number {
  const { bits, scaleBytes = 0 } = formatOf(format);
  const group = groupOf(format, k);
  return rows * (Math.ceil((k * bits) / 8) + (group === 0 ? 0 : Math.ceil(k / group) * scaleBytes));
}

/**
 * Bytes of the weights of a graph, scales included, each once: what a placement holds at least, before tiles are rounded
 * up and scales repeated. Tables of a checkpoint in 32 bits are taken for 16.
 */
export function heldBytes(graph: Graph, numerics: Numerics): number {
  const table = heldEmbedding(numerics, 'bf16');
  const vector = numerics.activations === 'fp16' ? 2 : 4;
  const isShared = graph.shape.tiedEmbeddings && heldMatrix(numerics, 'head') === table;
  const of = (op: Op): number => {
    switch (op.kind) {
      case 'embedding':
        return bytesOfRows(table, op.vocab, op.width);
      case 'linear':
        if (op.role === 'head' && isShared) return 0;
        return bytesOfRows(heldMatrix(numerics, op.role), op.n, op.k) + (op.bias === undefined ? 0 : op.n * vector);
      case 'head-linear':
        return bytesOfRows(heldTable(numerics, 'bf16'), 1, definitionOf(op).weightElements(op));
      case 'moe': {
        const { experts, expertFfn, width } = op;
        const format = heldMatrix(numerics, 'expert');
        const expert = bytesOfRows(format, 2 * expertFfn, width) + bytesOfRows(format, width, expertFfn);
        const bias = op.expertBias ? (2 * expertFfn + width) * vector : 0;
        const router = bytesOfRows(heldTable(numerics, 'bf16'), experts, width);
        return experts * (expert + bias) + router + (op.routerBias === undefined ? 0 : experts * vector);
      }
      default:
        return definitionOf(op).weightElements(op) * vector;
    }
  };
  return opsOf(graph).reduce((sum, op) => sum + of(op), 0);
}
