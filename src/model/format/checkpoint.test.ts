import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

import { tinyConfig, tinyTensors, writeTinyCheckpoint } from '../../../test/tiny-checkpoint.ts';
import { openCheckpoint } from './checkpoint.node.ts';
import { encodeSafetensors } from './safetensors.ts';

const root = mkdtempSync(join(tmpdir(), 'ingot-open-'));
afterAll(() => rmSync(root, { recursive: true }));
let folders = 0;
function tiny(files: Record<string, unknown> = {}): string {
  const dir = join(root, String(folders++));
  writeTinyCheckpoint(dir);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(dir, name), content instanceof Uint8Array ? content : JSON.stringify(content));
  }
  return dir;
}

const openFilesIn = (dir: string): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(dir);
    } catch {
      return false;
    }
  }).length;

describe('openCheckpoint', () => {
  it('puts the parts together', () => {
    const dir = tiny();
    const checkpoint = openCheckpoint(dir);
    expect(checkpoint.shape).toMatchObject({ arch: 'llama', hidden: 8, layers: 2, vocab: 264 });
    expect(checkpoint.graph.layers).toHaveLength(2);
    expect(checkpoint.tokenizer.decode(checkpoint.tokenizer.encode('é'))).toBe('é');
    expect([checkpoint.bosId, checkpoint.generation]).toEqual([256, { eosIds: [257] }]);
    for (const { name, bytes } of tinyTensors()) {
      const target = new Uint8Array(bytes.length);
      checkpoint.weights.readRows(name, 0, checkpoint.weights.shape(name)[0], target);
      expect(target).toEqual(bytes);
    }
    const file = readFileSync(join(dir, 'model.safetensors'));
    expect(checkpoint.provenance.files.at(-1)).toEqual({ name: 'model.safetensors', bytes: file.length });
    expect(checkpoint.provenance.sha256('model.safetensors')).toBe(createHash('sha256').update(file).digest('hex'));
    checkpoint.close();
  });

  it('takes a folder of sentence-transformers: names without their body, pooling by its modules', () => {
    const dir = tiny({
      'config.json': { ...tinyConfig, matryoshka_dimensions: [2, 4] },
      'model.safetensors': encodeSafetensors(
        tinyTensors().map((tensor) => ({ ...tensor, name: tensor.name.replace(/^model\./, '') })),
      ),
      'modules.json': [
        { idx: 0, name: '0', path: '', type: 'sentence_transformers.models.Transformer' },
        { idx: 1, name: '1', path: '1_Pooling', type: 'sentence_transformers.models.Pooling' },
      ],
    });
    mkdirSync(join(dir, '1_Pooling'));
    writeFileSync(join(dir, '1_Pooling', 'config.json'), JSON.stringify({ pooling_mode_mean_tokens: true }));
    const checkpoint = openCheckpoint(dir);
    const plain = openCheckpoint(tiny());
    expect(plain.embedding).toEqual({ pooling: 'last', normalize: true, dimensions: [] });
    expect(checkpoint.embedding).toEqual({ pooling: 'mean', normalize: false, dimensions: [2, 4] });
    expect([...checkpoint.weights.names].sort()).toEqual([...plain.weights.names].sort());
    for (const name of plain.weights.names) expect(checkpoint.weights.read(name)).toEqual(plain.weights.read(name));
    const read = checkpoint.provenance.files.map(({ name }) => name);
    expect(read).toEqual(expect.arrayContaining(['modules.json', '1_Pooling/config.json']));
    checkpoint.close();
    plain.close();
  });

  it('takes sampling defaults and further ends of text from generation_config.json', () => {
    const checkpoint = openCheckpoint(
      tiny({ 'generation_config.json': { eos_token_id: [7, 257], temperature: 0.6, top_p: 0.9, top_k: null } }),
    );
    expect(checkpoint.generation).toEqual({ eosIds: [7, 257], temperature: 0.6, topP: 0.9 });
    checkpoint.close();
  });

  it('passes over the tensors that releases carry and nobody reads', () => {
    const inverse = {
      name: 'model.layers.0.self_attn.rotary_emb.inv_freq',
      dtype: 'f32' as const,
      shape: [2],
      bytes: new Uint8Array(8),
    };
    const withInverse = tiny({ 'model.safetensors': encodeSafetensors([...tinyTensors(), inverse]) });
    openCheckpoint(withInverse).close();
    // A head is needed unless it is tied; then it is passed over.
    openCheckpoint(tiny({ 'config.json': { ...tinyConfig, tie_word_embeddings: true } })).close();
    const headless = encodeSafetensors(tinyTensors().filter(({ name }) => name !== 'lm_head.weight'));
    openCheckpoint(
      tiny({ 'config.json': { ...tinyConfig, tie_word_embeddings: true }, 'model.safetensors': headless }),
    ).close();
    expect(() => openCheckpoint(tiny({ 'model.safetensors': headless }))).toThrow(/CHECKPOINT_TENSOR_MISSING/);
  });

  it.runIf(process.platform === 'linux')(
    'holds the weights open until it is closed, and nothing after a failure',
    () => {
      const dir = tiny();
      const checkpoint = openCheckpoint(dir);
      expect(openFilesIn(dir)).toBe(1);
      checkpoint.close();
      checkpoint.close();
      expect(openFilesIn(dir)).toBe(0);
      rmSync(join(dir, 'tokenizer.json'));
      expect(() => openCheckpoint(dir)).toThrow(/CHECKPOINT_FILE_MISSING/);
      expect(openFilesIn(dir)).toBe(0);
    },
  );

  it('says what a folder of the Hugging Face cache is', () => {
    const dir = mkdtempSync(join(root, 'cache-'));
    writeTinyCheckpoint(join(dir, 'snapshots', 'abc'));
    expect(() => openCheckpoint(dir)).toThrow(/Hugging Face cache/);
    openCheckpoint(join(dir, 'snapshots', 'abc')).close();
  });
});
