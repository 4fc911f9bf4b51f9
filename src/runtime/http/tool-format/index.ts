// A format of tool calls is one file and one line here; the first that fits a chat template is taken.

import { hermes } from './hermes.ts';
import { llama3 } from './llama3.ts';
import { mistral } from './mistral.ts';
import type { ToolFormat } from './tool-format.ts';

const formats: readonly ToolFormat[] = [hermes, mistral, llama3];

/** How a model writes calls, and whether its template says so itself. */
export interface ModelToolFormat {
  readonly format: ToolFormat;
  /** The template takes tools; otherwise they are told in a system message (told.ts), and calls are as in Hermes. */
  readonly isNative: boolean;
}

export function toolFormatOf(template: string): ModelToolFormat {
  const format = formats.find((candidate) => candidate.fits(template));
  return { format: format ?? hermes, isNative: format !== undefined };
}

export type { Callable, CallReader, ToolFormat } from './tool-format.ts';
