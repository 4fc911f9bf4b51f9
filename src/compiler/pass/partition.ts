import { search, layerRanges, type Candidate } from '../search.ts';
import type { StageRange } from '../sections.ts';
import { definePass, shapeOf } from './pass.ts';

export const partition = definePass({
  name: 'partition',
  sentence:
    'Searches how many layers share a region, of which shape, on how many wafers, and takes what the objective wants.',
  needs: ['graph', 'sections', 'numerics'],
  gives: ['search', 'parts'],
  run({ graph, sections, numerics }, options) {
    const found = search({ ...options, graph, numerics }, sections);
    const { regions, headRows } = found.chosen;
    const layers = layerRanges(sections, regions, headRows === 0);
    if (headRows === 0) return { search: found, parts: layers };
    const end = { hasEmbedding: false, hasHead: false };
    const last = sections.kindOf.length;
    const embedding: StageRange = { ...end, fromLayer: 0, toLayer: 0, hasEmbedding: true };
    const head: StageRange = { ...end, fromLayer: last, toLayer: last, hasHead: true };
    return { search: found, parts: [embedding, ...layers, head] };
  },
  law({ graph, parts, search: { chosen } }, { maxWafers = Infinity }) {
    const follows = parts.every((part, i) => part.fromLayer === (i === 0 ? 0 : parts[i - 1].toLayer));
    return [
      ...(follows && parts.at(-1)?.toLayer === graph.layers.length ? [] : ['every layer is in one part, in order']),
      ...(parts.every((part, i) => part.hasEmbedding === (i === 0)) ? [] : ['the embedding comes first']),
      ...(parts.every((part, i) => part.hasHead === (i === parts.length - 1)) ? [] : ['the head comes last']),
      ...(chosen.wafers <= maxWafers ? [] : ['no more wafers than allowed']),
    ];
  },
  show: ({ search: { chosen, frontier, tried, fitting }, parts }) => ({
    tried,
    fitting,
    chosen: row(chosen),
    frontier: frontier.map(row),
    parts: parts.map(({ fromLayer, toLayer, hasEmbedding, hasHead }) => ({
      layers: toLayer > fromLayer ? `${fromLayer}-${toLayer - 1}` : 'none',
      ...(hasEmbedding ? { embedding: true } : {}),
      ...(hasHead ? { head: true } : {}),
    })),
  }),
});

const row = ({ wafers, mesh, regions, layersPerRegion, embeddingRows, headRows, chunk, ...rest }: Candidate) => ({
  wafers,
  region: shapeOf(mesh),
  regions,
  layersPerRegion,
  embeddingRows,
  headRows,
  chunk,
  decodeMicroseconds: round(rest.decode * 1e6),
  prefillMicroseconds: round(rest.prefill * 1e6),
  tokensPerSecond: round(rest.throughput),
  kvTokens: rest.kvTokens,
});

/** Ten significant digits, so that texts do not depend on the last bits. */
const round = (value: number): number => Number(value.toPrecision(10));
