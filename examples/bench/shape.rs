//! Shapes of models by name: those of the published 7B models, and two smaller ones.

use igsite::checkpoint::config::{FalconConfig, LlamaConfig, ModelConfig};

/// The names.
pub const NAMES: [&str; 6] = [
    "llama-25m",
    "llama-2048",
    "llama-2-7b",
    "orca-2-7b",
    "mistral-7b",
    "falcon-7b",
];

/// The config of one of [`NAMES`].
pub fn config(shape: &str) -> ModelConfig {
    let llama = LlamaConfig {
        model_type: "llama".to_owned(),
        vocab_size: 32_000,
        hidden_size: 4096,
        intermediate_size: 11_008,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: 32,
        head_dim: 128,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        sliding_window: None,
        full_layers: vec![],
        tie_word_embeddings: false,
    };
    ModelConfig::Llama(match shape {
        "llama-25m" => LlamaConfig {
            hidden_size: 512,
            intermediate_size: 1376,
            num_hidden_layers: 8,
            num_attention_heads: 8,
            num_key_value_heads: 8,
            head_dim: 64,
            ..llama
        },
        "llama-2048" => LlamaConfig {
            hidden_size: 2048,
            intermediate_size: 5504,
            num_hidden_layers: 4,
            num_attention_heads: 16,
            num_key_value_heads: 16,
            ..llama
        },
        "orca-2-7b" => LlamaConfig {
            vocab_size: 32_003,
            ..llama
        },
        "mistral-7b" => LlamaConfig {
            model_type: "mistral".to_owned(),
            intermediate_size: 14_336,
            num_key_value_heads: 8,
            rope_theta: 1_000_000.0,
            ..llama
        },
        "falcon-7b" => {
            return ModelConfig::Falcon(FalconConfig {
                vocab_size: 65_024,
                hidden_size: 4544,
                num_hidden_layers: 32,
                num_attention_heads: 71,
                layer_norm_epsilon: 1e-5,
                rope_theta: 10_000.0,
                tie_word_embeddings: true,
            });
        }
        _ => llama,
    })
}
