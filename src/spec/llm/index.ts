import { findById } from '../registry.ts';
import { deepseekV2Lite, deepseekV3, kimiK2 } from './deepseek.ts';
import { gemma2_9b } from './gemma.ts';
import { glm46 } from './glm.ts';
import { gptOss120b } from './gpt-oss.ts';
import { bench125m, codellama34b, llama2_13b, llama31_405b, llama31_70b, llama31_8b, llama32_1b } from './llama.ts';
import type { LlmFacts } from './llm-shape.ts';
import { mistral7b, mixtral8x7b } from './mistral.ts';
import { phi3Mini } from './phi.ts';
import { qwen2_72b, qwen3_06b, qwen3_235b_a22b, qwen3_32b, qwen3_8b } from './qwen.ts';

/** Every language model that Ingot knows by name, by id. Shapes only; checkpoints come from folders. */
export const llms: Readonly<Record<string, LlmFacts>> = {
  'llama-3.1-8b': llama31_8b,
  'llama-3.1-70b': llama31_70b,
  'llama-3.1-405b': llama31_405b,
  'llama-3.2-1b': llama32_1b,
  'llama-2-13b': llama2_13b,
  'codellama-34b': codellama34b,
  'qwen2-72b': qwen2_72b,
  'qwen3-0.6b': qwen3_06b,
  'qwen3-8b': qwen3_8b,
  'qwen3-32b': qwen3_32b,
  'qwen3-235b-a22b': qwen3_235b_a22b,
  'mistral-7b': mistral7b,
  'mixtral-8x7b': mixtral8x7b,
  'gemma-2-9b': gemma2_9b,
  'phi-3-mini': phi3Mini,
  'gpt-oss-120b': gptOss120b,
  'deepseek-v2-lite': deepseekV2Lite,
  'deepseek-v3': deepseekV3,
  'glm-4.6': glm46,
  'kimi-k2': kimiK2,
  'bench-125m': bench125m,
};

/** @throws IngotError LLM_UNKNOWN, with the nearest id and the list */
export const findLlm = (id: string): LlmFacts => findById(llms, id, 'language model', 'LLM_UNKNOWN');
