// A format of tool calls is one file and one line here; the first that fits a chat template is taken.

import { hermes } from './hermes.ts';
import { llama3 } from './llama3.ts';
import { mistral } from './mistral.ts';
import type { ToolFormat } from './tool-format.ts';

const formats: readonly ToolFormat[] = [hermes, mistral, llama3];

/** The format that a chat template teaches; undefined where it knows no tools, or none of these. */
export const toolFormatOf = (template: string): ToolFormat | undefined =>
  formats.find((format) => format.fits(template));

export type { Callable, CallReader, ToolFormat } from './tool-format.ts';
