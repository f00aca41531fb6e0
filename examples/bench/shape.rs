//! Shapes of models by name: those of the published 7B models, and two smaller ones.

use igsite::checkpoint::config;
use igsite::diagnostic::Result;
use igsite::families::shape::Shape;
use serde_json::{Value, json};

/// The names.
pub const NAMES: [&str; 6] = [
    "llama-25m",
    "llama-2048",
    "llama-2-7b",
    "orca-2-7b",
    "mistral-7b",
    "falcon-7b",
];

/// The `config.json` of one of [`NAMES`].
pub fn config(shape: &str) -> Value {
    let mut config = json!({
        "model_type": "llama",
        "vocab_size": 32_000,
        "hidden_size": 4096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0,
        "tie_word_embeddings": false,
    });
    let other = match shape {
        "llama-25m" => json!({
            "hidden_size": 512,
            "intermediate_size": 1376,
            "num_hidden_layers": 8,
            "num_attention_heads": 8,
            "num_key_value_heads": 8,
        }),
        "llama-2048" => json!({
            "hidden_size": 2048,
            "intermediate_size": 5504,
            "num_hidden_layers": 4,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
        }),
        "orca-2-7b" => json!({"vocab_size": 32_003}),
        "mistral-7b" => json!({
            "model_type": "mistral",
            "intermediate_size": 14_336,
            "num_key_value_heads": 8,
            "rope_theta": 1_000_000.0,
            "sliding_window": null,
        }),
        "falcon-7b" => {
            return json!({
                "model_type": "falcon",
                "vocab_size": 65_024,
                "hidden_size": 4544,
                "num_hidden_layers": 32,
                "num_attention_heads": 71,
            });
        }
        _ => json!({}),
    };
    for (key, value) in other.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    config
}

/// What a `config.json` describes.
pub fn of(config: &Value) -> Result<Shape> {
    let map = config.as_object().cloned().unwrap_or_default();
    config::parse(&map).map(|config| config.model)
}
