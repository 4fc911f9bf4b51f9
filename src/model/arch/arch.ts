import type { LlmShape } from '../../spec/index.ts';
import type { Graph } from '../graph.ts';
import type { ConfigReader } from './config-reader.ts';

/** An architecture family: how its configuration becomes a shape, and its shape a graph. */
export interface Arch {
  /** Value of `LlmShape.arch`. */
  readonly id: string;
  /** Values of `model_type` in a Hugging Face `config.json`. */
  readonly hfModelTypes: readonly string[];
  /** Absent where the family is known by shape only: it can be sized, not executed. */
  readonly parse?: (config: ConfigReader) => LlmShape;
  readonly graph: (shape: LlmShape) => Graph;
}
