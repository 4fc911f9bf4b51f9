import { assert } from '../../core/index.ts';
import type { Graph, LinearOp, Op } from '../graph.ts';
import { definitionOf, type WeightUse } from './index.ts';

/**
 * The law of a graph: each name is written once per section (a layer may write `x` anew), every value is
 * written before it is read, with the width that the reader takes it to have, and a weight that several ops
 * read has one shape.
 */
export function verifyGraph(graph: Graph): void {
  const { hidden, vocab } = graph.shape;
  const shapes = new Map<string, string>();
  const verifySection = (section: readonly Op[], where: string, start: ReadonlyMap<string, number>) => {
    const widths = new Map(start);
    const written = new Set<string>();
    for (const op of section) {
      const definition = definitionOf(op);
      for (const { name, width } of definition.inputs(op)) {
        const found = widths.get(name);
        assert(found !== undefined, `${where}: ${op.kind} ${op.out} reads ${name} before it is written`);
        assert(found === width, `${where}: ${op.out} reads ${name} as ${width} wide, it is ${found}`);
      }
      for (const { name, shape } of definition.weights(op)) {
        const known = shapes.get(name);
        assert(known === undefined || known === shape.join(), `${where}: weight ${name} has two shapes`);
        shapes.set(name, shape.join());
      }
      assert(!written.has(op.out), `${where}: ${op.out} is written twice`);
      written.add(op.out);
      widths.set(op.out, definition.width(op));
    }
    return widths;
  };
  const x = new Map([['x', hidden]]);
  assert(verifySection(graph.prologue, 'prologue', new Map()).get('x') === hidden, 'prologue writes x');
  for (const [layer, section] of graph.layers.entries()) {
    assert(
      section.some((op) => op.out === 'x'),
      `layer ${layer} writes x`,
    );
    assert(verifySection(section, `layer ${layer}`, x).get('x') === hidden, `layer ${layer} keeps the width of x`);
  }
  assert(verifySection(graph.epilogue, 'epilogue', x).get('logits') === vocab, 'epilogue writes logits');
}

/** All ops in order. */
export const opsOf = (graph: Graph): Op[] => [...graph.prologue, ...graph.layers.flat(), ...graph.epilogue];

/** The named weights that a graph reads, each once, in order of first use. */
export function weightsOf(graph: Graph): WeightUse[] {
  const found = new Map<string, WeightUse>();
  for (const op of opsOf(graph)) {
    for (const weight of definitionOf(op).weights(op)) if (!found.has(weight.name)) found.set(weight.name, weight);
  }
  return [...found.values()];
}

/** The op that makes logits; it reads the hidden states after the last norm. */
export function headOf({ epilogue }: Graph): LinearOp {
  const head = epilogue.find((op) => op.kind === 'linear');
  assert(head !== undefined, 'the epilogue has a head');
  return head;
}
