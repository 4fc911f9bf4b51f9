/** Of everything random in the shipped checkpoint. */
export const SEED = 2;
/** Tokens of the vocabulary: bytes, merges, and the special ones at the end. */
export const VOCAB = 768;
export const SPECIAL = ['<|begin|>', '<|end|>', '<|user|>', '<|assistant|>', '<|system|>'] as const;
/** Bytes and merges. */
export const PLAIN = VOCAB - SPECIAL.length;

/** config.json: 2.3 million parameters in three layers of the llama architecture. */
export const config = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  attention_dropout: 0,
  bos_token_id: PLAIN,
  eos_token_id: PLAIN + 1,
  head_dim: 64,
  hidden_act: 'silu',
  hidden_size: 320,
  initializer_range: 0.02,
  intermediate_size: 384,
  max_position_embeddings: 2048,
  mlp_bias: false,
  model_type: 'llama',
  num_attention_heads: 4,
  num_hidden_layers: 3,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  rope_scaling: null,
  rope_theta: 10000,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  use_cache: true,
  vocab_size: VOCAB,
};

/** `<|begin|>` once, then each message behind its role and closed by `<|end|>`. */
export const chatTemplate =
  '{{ bos_token }}{% for message in messages %}' +
  "{% if message['role'] not in ['system', 'user', 'assistant'] %}" +
  "{{ raise_exception('roles are system, user and assistant') }}{% endif %}" +
  "{{ '<|' + message['role'] + '|>' + message['content'] | trim + eos_token }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";
