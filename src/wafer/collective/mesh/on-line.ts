import { fail } from '../../../core/index.ts';
import { onLines } from '../../kernel/lower/all-reduce.ts';
import type { Collective, LineShape } from '../collective.ts';
import type { MeshCollective, MeshShape } from './mesh-collective.ts';
import { everyPlace } from './stages.ts';

const isLine = ({ width, height }: MeshShape): boolean => Math.min(width, height) === 1;
const lineOf = ({ width, height, ...rest }: MeshShape): LineShape => ({ ...rest, parts: Math.max(width, height) });

/** A collective that is only known on a line. */
export const onLine = (collective: Collective): MeshCollective => ({
  does: collective.does,
  algorithm: 'line',
  about: collective.about,
  accepts: isLine,
  phases: (shape) => collective.phases(lineOf(shape)),
  lower(shape, wafer) {
    const { width, height } = shape;
    if (!isLine(shape))
      fail({
        code: 'COLLECTIVE_SHAPE',
        message: `${collective.does} runs on one row or column of PEs`,
        found: `${width} x ${height}`,
        suggestion: `try ${width * height} x 1`,
      });
    const { program, outcome = 'x' } = collective.lower(lineOf(shape), wafer);
    const axis = height === 1 ? 'x' : 'y';
    return {
      program: { ...program, width, height, ...onLines(program, axis, shape) },
      results: everyPlace(shape),
      outcome,
    };
  },
});
