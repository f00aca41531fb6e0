//! A small model of each family, for tests of all of them.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use igsite::model::CausalLm;
use serde_json::{Value, json};

use super::tiny::Tensors;

/// A small `config.json` of a family, with what a GGUF file can't say at llama.cpp's own constant.
pub fn config_of(family: &str) -> Value {
    match family {
        "gpt2" => json!({"model_type": "gpt2", "vocab_size": 40, "n_embd": 16, "n_layer": 3, "n_head": 4,
            "n_positions": 32}),
        _ => {
            let mut config = json!({
                "model_type": family, "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24,
                "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 3,
                "query_pre_attn_scalar": 8, "max_position_embeddings": 2048,
            });
            if family == "phi" {
                // It has no grouped keys in llama.cpp.
                config["num_key_value_heads"] = json!(4);
            }
            if !["phi", "phi3", "stablelm", "starcoder2", "granite", "gpt_neox", "falcon"].contains(&family) {
                config["head_dim"] = json!(8);
            }
            if ["phi", "stablelm"].contains(&family) {
                config["partial_rotary_factor"] = json!(0.5);
            }
            if family == "gpt_neox" {
                config["rotary_pct"] = json!(0.5);
            }
            if ["llama", "mixtral", "qwen3_moe"].contains(&family) {
                config.as_object_mut().unwrap().remove("sliding_window");
            }
            match family {
                "mixtral" | "gpt_oss" => config["num_local_experts"] = json!(4),
                "qwen3_moe" => {
                    config["num_experts"] = json!(4);
                    config["moe_intermediate_size"] = json!(24);
                    config["norm_topk_prob"] = json!(true);
                }
                _ => {}
            }
            if ["mixtral", "gpt_oss", "qwen3_moe"].contains(&family) {
                config["num_experts_per_tok"] = json!(2);
            }
            config
        }
    }
}

/// The same with more keys.
pub fn config_with(family: &str, more: Value) -> Value {
    let mut config = config_of(family);
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// Variants with other tensors than the family's first, of which there are GGUF files too.
pub fn with_other_tensors() -> Vec<Value> {
    vec![
        config_with(
            "llama",
            json!({"attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true}),
        ),
        config_with("falcon", json!({"new_decoder_architecture": true, "num_kv_heads": 2})),
        config_with("stablelm", json!({"use_parallel_residual": true, "use_qkv_bias": true})),
        config_with("starcoder2", json!({"use_bias": false, "tie_word_embeddings": false})),
    ]
}

/// A model's tensors by name.
pub fn tensors(model: &CausalLm) -> Tensors {
    let named = model.named_parameters().into_iter().map(|(name, parameter)| {
        let data = parameter.into_data();
        (name, (data.shape().to_vec(), data.try_to_vec::<f32>().unwrap()))
    });
    named.collect::<BTreeMap<_, _>>()
}

/// The logits behind seven tokens.
pub fn logits(model: &CausalLm) -> Vec<f32> {
    let ids = Tensor::<2, Int>::from_data(
        TensorData::new(vec![3_i64, 17, 39, 0, 8, 21, 5], [1, 7]),
        &Device::flex(),
    );
    model.last_logits(model.embed(ids)).into_data().try_to_vec().unwrap()
}
