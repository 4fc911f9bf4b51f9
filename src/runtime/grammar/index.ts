export { compileGrammar, type Grammar, type GrammarState } from './automaton.ts';
export * from './expression.ts';
export { createGrammarProcessor } from './grammar-processor.ts';
export { schemaExpression, schemaLimits, type SchemaOptions } from './json-schema.ts';
export { createJsonText, type JsonText } from './json-text.ts';
export { createPatternWork } from './pattern.ts';
export { createGrammarVocabulary, type GrammarVocabulary } from './vocabulary.ts';
