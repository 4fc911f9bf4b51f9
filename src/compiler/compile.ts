import type { Program } from '../wafer/index.ts';
import { runPipeline } from './pipeline.ts';
import type { CompileOptions } from './request.ts';

/**
 * Place a model on wafers.
 * @returns the program that the objective wants among those that fit
 * @throws IngotError PROGRAM_DOES_NOT_FIT, with what is short and how many wafers would do; OBJECTIVE_UNMET;
 * MESH_INVALID; COLORS_OVER
 */
export const compile = (options: CompileOptions): Program => runPipeline(options).program;
