//! The four models of the demo: for each its layout, its shape, its tokenizer and how it is trained.

use serde_json::{Value, json};

use crate::tokenizers::Form;
use crate::write::{Format, Stored};

/// How one model is made.
pub struct Recipe {
    /// Its folder in `content/models`.
    pub id: &'static str,
    /// The form of its tokenizer.
    pub form: Form,
    /// How many merges its tokenizer learns.
    pub merges: usize,
    /// Whether its tokenizer learns from flattened counts; see [`crate::tokenizers::train`].
    pub flatten: bool,
    /// What its weights are stored as …
    pub stored: Stored,
    /// … in which file format …
    pub format: Format,
    /// … in how many files.
    pub shards: usize,
    /// For its first parameters and its training claims.
    pub seed: u64,
    /// Optimizer steps.
    pub steps: usize,
    /// `config.json` for a vocabulary of this size.
    pub config: fn(usize) -> Value,
}

/// All four, in the order of the demo's pages.
pub const RECIPES: [Recipe; 4] = [
    Recipe {
        id: "demo-llama",
        form: Form::Llama,
        merges: 440,
        flatten: false,
        stored: Stored::F16,
        format: Format::Safetensors,
        shards: 1,
        seed: 11,
        steps: 400,
        config: llama,
    },
    Recipe {
        id: "demo-mistral",
        form: Form::Llama,
        merges: 440,
        flatten: true,
        stored: Stored::Bf16,
        format: Format::Safetensors,
        shards: 2,
        seed: 12,
        steps: 400,
        config: mistral,
    },
    Recipe {
        id: "demo-falcon",
        form: Form::Falcon,
        merges: 620,
        flatten: false,
        stored: Stored::Bf16,
        format: Format::Safetensors,
        shards: 1,
        seed: 13,
        steps: 600,
        config: falcon,
    },
    Recipe {
        id: "demo-orca",
        form: Form::Orca,
        merges: 280,
        flatten: false,
        stored: Stored::F16,
        format: Format::PyTorch,
        shards: 2,
        seed: 14,
        steps: 340,
        config: orca,
    },
];

fn llama(vocabulary: usize) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": 176,
        "max_position_embeddings": 512,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 4,
        "pad_token_id": null,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-5,
        "rope_scaling": null,
        "tie_word_embeddings": false,
        "torch_dtype": Stored::F16.torch_dtype(),
        "use_cache": true,
        "vocab_size": vocabulary,
    })
}

fn mistral(vocabulary: usize) -> Value {
    json!({
        "architectures": ["MistralForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": 192,
        "max_position_embeddings": 512,
        "model_type": "mistral",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1_000_000.0,
        "sliding_window": null,
        "tie_word_embeddings": false,
        "torch_dtype": Stored::Bf16.torch_dtype(),
        "use_cache": true,
        "vocab_size": vocabulary,
    })
}

fn falcon(vocabulary: usize) -> Value {
    json!({
        "alibi": false,
        "architectures": ["FalconForCausalLM"],
        "attention_dropout": 0.0,
        "bias": false,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "hidden_dropout": 0.0,
        "hidden_size": 64,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-5,
        "model_type": "falcon",
        "multi_query": true,
        "new_decoder_architecture": false,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "parallel_attn": true,
        "torch_dtype": Stored::Bf16.torch_dtype(),
        "use_cache": true,
        "vocab_size": vocabulary,
    })
}

fn orca(vocabulary: usize) -> Value {
    let mut config = llama(vocabulary);
    // The added tokens close the vocabulary; `[PAD]` is the first of them.
    config["pad_token_id"] = json!(vocabulary - 3);
    config
}
