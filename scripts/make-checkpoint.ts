// Makes the checkpoint that ships with Ingot, in about two minutes: node scripts/make-checkpoint.ts [folder]
// The result is the same byte for byte each time. What it is, and is not, stands in checkpoint/README.md.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { createTokenizer, encodeSafetensors, f32ToBf16, parseConfig, weightSpecs } from '../src/model/index.ts';
import { config, SEED } from './checkpoint/config.ts';
import { makeSequences, readCorpus } from './checkpoint/corpus.ts';
import { fitHead } from './checkpoint/fit-head.ts';
import { makeFrozen } from './checkpoint/frozen-layers.ts';
import { bytesOf, hiddenStates } from './checkpoint/hidden-states.ts';
import { makeTokenizerFiles } from './checkpoint/tokenizer-files.ts';

const FIT = { passes: 25, rate: 8, seed: SEED };

const folder = process.argv[2] ?? join(import.meta.dirname, '..', 'checkpoint');
const { shape } = parseConfig(config);
const corpus = readCorpus();
const files = makeTokenizerFiles(corpus);
const tokenizer = createTokenizer({ ...files, where: 'tokenizer.json' });
const frozen = makeFrozen(shape, SEED);
const sequences = makeSequences(tokenizer, corpus, SEED);

process.stdout.write(`running ${sequences.length} sequences through the frozen layers\n`);
const { hidden, targets } = hiddenStates(shape, frozen, sequences);
process.stdout.write(`fitting the head to ${targets.length} tokens\n`);
const { head, loss, accuracy } = fitHead(hidden, targets, shape.vocab, FIT);
process.stdout.write(`last pass: ${loss.toFixed(3)} nats a token, ${(100 * accuracy).toFixed(1)} % right\n`);

const headBits = f32ToBf16(head);
const tensors = weightSpecs(shape).map(({ name, shape: dims }) => ({
  name,
  shape: dims,
  dtype: 'bf16' as const,
  bytes: bytesOf(frozen.get(name) ?? headBits),
}));
const write = (name: string, value: object): void =>
  writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
mkdirSync(folder, { recursive: true });
write('config.json', config);
write('generation_config.json', { bos_token_id: config.bos_token_id, eos_token_id: config.eos_token_id });
write('tokenizer.json', files.tokenizer);
write('tokenizer_config.json', files.config);
writeFileSync(join(folder, 'model.safetensors'), encodeSafetensors(tensors, { format: 'pt' }));
