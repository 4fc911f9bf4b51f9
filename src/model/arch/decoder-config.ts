// What the configurations of decoders with grouped-query attention share.

import type { GqaShape, LlmShape, MoeShape } from '../../spec/index.ts';
import { dimensionLimits, type ConfigReader } from './config-reader.ts';

/** What a family says of the stack around its attention. */
export interface DecoderFamily {
  readonly arch: string;
  /** What `hidden_act` and `hidden_activation` must be; absent: silu. */
  readonly activation?: string;
  /** What a missing `tie_word_embeddings` means; absent: false. */
  readonly tiedEmbeddings?: boolean;
  /** The `quant_method` whose tensors are read. */
  readonly quantization?: 'mxfp4';
}

export interface DecoderAttention extends DecoderFamily {
  readonly qkvBias: boolean;
  readonly outBias: boolean;
  readonly qkNorm: boolean;
  /** How the family uses `sliding_window`: not at all, in every layer, in every other, or behind Qwen's switches. */
  readonly window: 'none' | 'every layer' | 'alternating' | 'behind use_sliding_window';
  /** Whether `partial_rotary_factor` may say that a part of each head is rotated. */
  readonly rotatesPart?: true;
}

/** Read what all decoders state beside attention and MLP; problems are collected in the reader. */
export function parseStack(config: ConfigReader, family: DecoderFamily): Omit<LlmShape, 'attention' | 'mlp'> {
  const { activation = 'silu' } = family;
  config.only('hidden_act', [activation], 'this activation is not supported');
  config.only('hidden_activation', [activation], 'this activation is not supported');
  config.only('mlp_bias', [false], 'biases in the MLP are not supported');
  config.quantization(family.quantization);
  config.only('is_encoder_decoder', [false], 'only decoders are supported');
  config.only('add_cross_attention', [false], 'only decoders are supported');
  return {
    arch: family.arch,
    hidden: config.count('hidden_size', dimensionLimits.hidden),
    layers: config.count('num_hidden_layers', dimensionLimits.layers),
    vocab: config.count('vocab_size', dimensionLimits.vocab),
    maxContext: config.count('max_position_embeddings', dimensionLimits.context),
    normEps: config.positive('rms_norm_eps'),
    layerNorms: 2,
    rope: config.rope(),
    tiedEmbeddings: config.flag('tie_word_embeddings', family.tiedEmbeddings ?? false),
  };
}

/**
 * Read the shared keys; problems are collected in the reader, so check `finish()` before using the shape.
 * @param mixture reads the keys of a mixture of experts, where the family has one
 */
export function parseDecoder(
  config: ConfigReader,
  attention: DecoderAttention,
  mixture?: () => MoeShape,
): LlmShape & { readonly attention: GqaShape } {
  if (attention.rotatesPart !== true)
    config.only('partial_rotary_factor', [1], 'rotating a part of each head is not supported');
  config.only('rope_interleaved', [false], 'only half-split rope is supported');
  const stack = parseStack(config, attention);
  const { hidden, layers, rope } = stack;
  const heads = config.count('num_attention_heads', dimensionLimits.heads);
  const kvHeads = config.count('num_key_value_heads', dimensionLimits.heads, heads);
  if (config.sound && heads % kvHeads !== 0)
    config.invalid('num_key_value_heads', `a divisor of ${heads} heads`, kvHeads);
  const headDim = config.has('head_dim') ? config.count('head_dim', dimensionLimits.headDim) : hidden / heads;
  if (config.sound && !Number.isInteger(headDim)) config.invalid('hidden_size', `a multiple of ${heads} heads`, hidden);
  if (config.sound && headDim % 2 !== 0) config.invalid('head_dim', 'an even number: rope turns pairs', headDim);

  const ropeHeadDim = attention.rotatesPart === true ? headDim * config.positive('partial_rotary_factor', 1) : headDim;
  if (config.sound && (ropeHeadDim % 2 !== 0 || ropeHeadDim > headDim))
    config.invalid('partial_rotary_factor', `a share of ${headDim} that is an even number`, ropeHeadDim / headDim);
  const pairs = rope.scaling?.kind === 'longrope' ? rope.scaling.divisors.length : undefined;
  if (config.sound && pairs !== undefined && pairs !== ropeHeadDim / 2)
    config.invalid('rope_scaling', `lists of ${ropeHeadDim / 2} factors, one for each pair`, pairs);

  const window = windowOf(config, attention.window, layers);

  return {
    ...stack,
    attention: {
      kind: 'gqa',
      heads,
      kvHeads,
      headDim,
      qkvBias: attention.qkvBias,
      outBias: attention.outBias,
      qkNorm: attention.qkNorm,
      ...(ropeHeadDim === headDim ? {} : { ropeHeadDim }),
      ...window,
    },
    mlp: mixture?.() ?? { kind: 'dense', ffn: config.count('intermediate_size', dimensionLimits.ffn) },
  };
}

/** The window, and which layers have it. */
type Window = Pick<GqaShape, 'slidingWindow' | 'fullAttentionEvery'>;

function windowOf(config: ConfigReader, rule: DecoderAttention['window'], layers: number): Window {
  if (rule === 'alternating') {
    const every = config.fullAttentionEvery(layers, 2);
    return { slidingWindow: config.count('sliding_window', dimensionLimits.context), fullAttentionEvery: every };
  }
  const slidingWindow = uniformWindowOf(config, rule, layers);
  return slidingWindow === undefined ? {} : { slidingWindow };
}

/** The window that every layer has, or undefined. A window in some layers only is refused. */
function uniformWindowOf(config: ConfigReader, rule: DecoderAttention['window'], layers: number): number | undefined {
  if (rule === 'none') config.only('sliding_window', [], 'this architecture has no sliding window');
  const kind = config.uniformLayers(layers);
  const has = config.has('sliding_window');
  const read = (): number => config.count('sliding_window', dimensionLimits.context);
  if (kind === 'sliding') {
    if (!has) config.invalid('sliding_window', 'a whole number, as layer_types asks for a window', undefined);
    if (rule === 'behind use_sliding_window' && !config.flag('use_sliding_window', false))
      config.invalid('use_sliding_window', 'true, as layer_types asks for a window', false);
  }
  if (rule === 'every layer') return has && kind !== 'full' ? read() : undefined;
  if (rule === 'none') return undefined;
  // Qwen: layers from max_window_layers on have the window, unless layer_types says which.
  const on = config.flag('use_sliding_window', false);
  const first = config.count('max_window_layers', dimensionLimits.layers, layers, 0);
  if (!on || !has || kind === 'full') return undefined;
  if (kind === 'sliding' || first === 0) return read();
  if (first < layers)
    config.unsupported('max_window_layers', 'a window in some layers only is not supported', first, `0, or ${layers}`);
  return undefined;
}
