// The documents that the wafer facts rest on. Vendor texts and papers by the people who measured come first;
// press and analysts are cited only for what no primary text states.

export const source = {
  cslExamples: 'CSL-EX: Cerebras/csl-examples on GitHub, commit 162e0f3 (SDK examples and tutorials)',
  sdkPaper: 'SDK-WP: Cerebras SDK Technical Overview, white paper, 2022',
  sdkDigest: 'SDK digest: pedronahum/cerebras-csl-skills on GitHub, commit 5760ff0 (digest of SDK 2.10)',
  hotChips34: 'HC34: Cerebras Architecture Deep Dive, S. Lie, Hot Chips 34 / IEEE Micro (read in translation)',
  hotChips2026: 'HC26: Cerebras CS-4 at Hot Chips 2026 (digest)',
  hpdc24: "HPDC'24: Luczynski et al., Near-Optimal Wafer-Scale Reduce, arXiv 2404.15888",
  waferLlm: "WLLM: WaferLLM, OSDI'25, arXiv 2502.04563v3, and MeshInfra/WaferLLM commit 2cd13b5",
  sc20: "SC'20: Fast Stencil-Code Computation on a Wafer-Scale Processor, arXiv 2010.03660, abstract",
  vectorBenchmark:
    'pr0f3ss/SpMM_Cerebras on GitHub, src/fmacs_test/COO_benchmark.csv (vendor cycle simulator; rows C24 and C25)',
  stencilWse3: 'Elia-Belli/stencil-cerebras on GitHub and arXiv 2605.07954 (CStencil)',
  alcfCsl: 'ALCF-CSL: Argonne documentation, CSL on CS-3 (fabric dimensions)',
  yield: 'CB-YIELD: Cerebras blog, 100x Defect Tolerance, 2025-01-13',
  fasterTokens: 'SA-FTP: SemiAnalysis, Cerebras - Faster Tokens Please, 2026-05-13',
  nextPlatform: 'NEXTPLAT: The Next Platform on third-generation waferscale, 2024-03-14',
  tomsCs1: "TOMS-CS1: Tom's Hardware on the CS-1 launch, 2019-11",
  tweakers: 'TWEAKERS: tweakers.net/nieuws/160108 on the CS-1, 2019-11',
  memoryX: 'CB-MX: Cerebras glossary, MemoryX',
  none: 'no source found',
} as const;
