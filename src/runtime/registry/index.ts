export * from './provenance.ts';
export * from './registry.ts';
