// What a person reads when a checkpoint is damaged. One golden file per kind of damage.
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

import { formatDiagnostic, IngotError } from '../src/core/index.ts';
import { openCheckpoint } from '../src/model/index.node.ts';
import { encodeSafetensors, type TensorToWrite } from '../src/model/index.ts';
import { expectGolden } from './golden.ts';
import { tinyConfig, tinyTensors, tinyTokenizer, writeTinyCheckpoint } from './tiny-checkpoint.ts';

const root = mkdtempSync(join(tmpdir(), 'ingot-checkpoint-'));
afterAll(() => rmSync(root, { recursive: true }));
let folders = 0;
function soundCheckpoint(): string {
  const dir = join(root, String(folders++));
  writeTinyCheckpoint(dir);
  return dir;
}

const WEIGHTS = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const write = (dir: string, name: string, content: unknown): void =>
  writeFileSync(join(dir, name), content instanceof Uint8Array ? content : JSON.stringify(content));

/** Rewrite the weights after a change to their tensors. */
const changeTensors = (dir: string, change: (tensors: TensorToWrite[]) => TensorToWrite[]): void =>
  write(dir, WEIGHTS, encodeSafetensors(change(tinyTensors())));
/** Rewrite the header text of the weights, leaving the data as it is. */
function changeHeader(
  dir: string,
  change: (header: Record<string, { dtype: string; data_offsets: number[] }>) => void,
) {
  const file = readFileSync(join(dir, WEIGHTS));
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + length)) as Parameters<typeof change>[0];
  change(header);
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  write(dir, WEIGHTS, Buffer.concat([prefix, text, file.subarray(8 + length)]));
}
/** Split the weights in two shards with an index. */
function shard(dir: string): void {
  const tensors = tinyTensors();
  const nameOf = (i: number): string => `model-0000${i < 5 ? 1 : 2}-of-00002.safetensors`;
  for (const name of [nameOf(0), nameOf(5)]) {
    write(dir, name, encodeSafetensors(tensors.filter((_, i) => nameOf(i) === name)));
  }
  write(dir, INDEX, { weight_map: Object.fromEntries(tensors.map((t, i) => [t.name, nameOf(i)])) });
  unlinkSync(join(dir, WEIGHTS));
}
const NORM = 'model.norm.weight';
const GATE = 'model.layers.0.mlp.gate_proj.weight';

interface Damage {
  readonly name: string;
  readonly done: string;
  readonly act: (dir: string) => void;
}

const damages: readonly Damage[] = [
  { name: 'missing-folder', done: 'the folder was removed', act: (dir) => rmSync(dir, { recursive: true }) },
  { name: 'missing-config', done: 'config.json was removed', act: (dir) => unlinkSync(join(dir, 'config.json')) },
  {
    name: 'folder-for-file',
    done: 'config.json is a folder',
    act: (dir) => {
      unlinkSync(join(dir, 'config.json'));
      mkdirSync(join(dir, 'config.json'));
    },
  },
  {
    name: 'folder-for-weights',
    done: 'model.safetensors is a folder',
    act: (dir) => {
      unlinkSync(join(dir, WEIGHTS));
      mkdirSync(join(dir, WEIGHTS));
    },
  },
  {
    name: 'link-to-nothing',
    done: 'tokenizer.json is a link to a file that was removed',
    act: (dir) => {
      unlinkSync(join(dir, 'tokenizer.json'));
      symlinkSync('blob', join(dir, 'tokenizer.json'));
    },
  },
  {
    name: 'malformed-json',
    done: 'config.json was cut in the middle',
    act: (dir) => truncateSync(join(dir, 'config.json'), 100),
  },
  {
    name: 'duplicate-key',
    done: 'config.json has the key hidden_size twice',
    act: (dir) =>
      writeFileSync(
        join(dir, 'config.json'),
        JSON.stringify(tinyConfig, null, 2).replace('{', '{\n  "hidden_size": 9,'),
      ),
  },
  {
    name: 'missing-safetensors',
    done: 'model.safetensors was renamed to pytorch_model.bin',
    act: (dir) => renameSync(join(dir, WEIGHTS), join(dir, 'pytorch_model.bin')),
  },
  {
    name: 'truncated-file',
    done: 'the last 100 bytes of model.safetensors were cut off',
    act: (dir) => truncateSync(join(dir, WEIGHTS), readFileSync(join(dir, WEIGHTS)).length - 100),
  },
  {
    name: 'truncated-header',
    done: 'model.safetensors was cut to 50 bytes',
    act: (dir) => truncateSync(join(dir, WEIGHTS), 50),
  },
  {
    name: 'header-over-limit',
    done: 'the header length of model.safetensors was set to 2^40',
    act: (dir) => {
      const file = readFileSync(join(dir, WEIGHTS));
      file.writeBigUInt64LE(2n ** 40n);
      write(dir, WEIGHTS, file);
    },
  },
  {
    name: 'wrong-dtype',
    done: `the element type of ${NORM} was set to I8`,
    act: (dir) => changeHeader(dir, (header) => void (header[NORM].dtype = 'I8')),
  },
  {
    name: 'overlapping-offsets',
    done: `${NORM} was moved 8 bytes to the front`,
    act: (dir) =>
      changeHeader(dir, (header) => void (header[NORM].data_offsets = header[NORM].data_offsets.map((at) => at - 8))),
  },
  {
    name: 'offsets-past-the-end',
    done: `${NORM} was moved 1,000,000 bytes to the back`,
    act: (dir) =>
      changeHeader(dir, (header) => void (header[NORM].data_offsets = header[NORM].data_offsets.map((at) => at + 1e6))),
  },
  {
    name: 'wrong-shape',
    done: `${GATE} was transposed`,
    act: (dir) =>
      changeTensors(dir, (tensors) =>
        tensors.map((t) => (t.name === GATE ? { ...t, shape: t.shape.toReversed() } : t)),
      ),
  },
  {
    name: 'missing-tensor',
    done: `${NORM} and ${GATE} were left out`,
    act: (dir) => changeTensors(dir, (tensors) => tensors.filter(({ name }) => name !== NORM && name !== GATE)),
  },
  {
    name: 'unknown-tensor',
    done: `${GATE} was renamed to ${GATE.replace('gate_proj', 'gate')}`,
    act: (dir) =>
      changeTensors(dir, (tensors) =>
        tensors.map((t) => (t.name === GATE ? { ...t, name: GATE.replace('gate_proj', 'gate') } : t)),
      ),
  },
  {
    name: 'missing-shard',
    done: 'the second of two shards was removed',
    act: (dir) => {
      shard(dir);
      unlinkSync(join(dir, 'model-00002-of-00002.safetensors'));
    },
  },
  {
    name: 'index-mismatch',
    done: 'the two shards were exchanged',
    act: (dir) => {
      shard(dir);
      const [one, two] = [1, 2].map((i) => join(dir, `model-0000${i}-of-00002.safetensors`));
      renameSync(one, `${two}.tmp`);
      renameSync(two, one);
      renameSync(`${two}.tmp`, two);
    },
  },
  {
    name: 'unknown-architecture',
    done: 'model_type was set to lama',
    act: (dir) => write(dir, 'config.json', { ...tinyConfig, model_type: 'lama' }),
  },
  {
    name: 'unsupported-config-key',
    done: 'hidden_act was set to gelu, and clip_qkv to 8',
    act: (dir) => write(dir, 'config.json', { ...tinyConfig, hidden_act: 'gelu', clip_qkv: 8 }),
  },
  {
    name: 'missing-tokenizer',
    done: 'tokenizer.json was removed',
    act: (dir) => unlinkSync(join(dir, 'tokenizer.json')),
  },
  {
    name: 'tokenizer-mismatch',
    done: 'tokenizer.json got a token with the id 1000; vocab_size is 264',
    act: (dir) =>
      write(dir, 'tokenizer.json', {
        ...tinyTokenizer,
        added_tokens: [...tinyTokenizer.added_tokens, { ...tinyTokenizer.added_tokens[0], content: '<x>', id: 1000 }],
      }),
  },
  {
    name: 'generation-config',
    done: 'generation_config.json has an end of text that the model lacks, and a negative temperature',
    act: (dir) => write(dir, 'generation_config.json', { eos_token_id: [257, 300], temperature: -1 }),
  },
];

describe('a damaged checkpoint', () => {
  it.each(damages)('$name', ({ name, done, act }) => {
    const dir = soundCheckpoint();
    act(dir);
    let text = 'the checkpoint was opened';
    try {
      openCheckpoint(dir).close();
    } catch (error) {
      if (!(error instanceof IngotError)) throw error;
      text = error.diagnostics.map(formatDiagnostic).join('\n');
    }
    expectGolden(`checkpoint-errors/${name}.txt`, `${done}\n${text.replaceAll(dir, '<dir>')}`);
  });

  it.skipIf(process.platform === 'win32')('is refused, not waited for, where a file is a pipe', () => {
    const dir = soundCheckpoint();
    unlinkSync(join(dir, 'config.json'));
    execFileSync('mkfifo', [join(dir, 'config.json')]);
    expect(() => openCheckpoint(dir)).toThrow('CHECKPOINT_FILE_UNREADABLE: config.json is not a regular file');
  });

  it('is not what the tests start from', () => {
    const dir = soundCheckpoint();
    openCheckpoint(dir).close();
    shard(dir);
    const checkpoint = openCheckpoint(dir);
    expect(checkpoint.provenance.files.map(({ name }) => name)).toEqual([
      'config.json',
      'tokenizer_config.json',
      'tokenizer.json',
      INDEX,
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ]);
    checkpoint.close();
  });
});
