export * from './fact.ts';
export * from './wafer/wafer-facts.ts';
export * from './wafer/index.ts';
export * from './llm/llm-shape.ts';
export * from './llm/index.ts';
export * from './published/published-row.ts';
export * from './published/index.ts';
export * from './wafer/pe-limits.ts';
