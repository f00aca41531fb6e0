//! What the tables of all families promise.

use serde_json::json;

use super::*;
use crate::checkpoint::config;
use crate::families::tensors::{Order, Slot, Weight};

#[test]
fn every_weight_of_a_family_has_one_name() {
    for family in FAMILIES {
        let config = json!({"model_type": family.types[0]});
        let shape = config::parse(config.as_object().unwrap()).unwrap().model;
        assert_eq!(shape.family, family.types[0]);
        let named = |slot: Slot| {
            let entries = shape.tensors.iter().filter(|entry| entry.slots.contains(&slot));
            entries.count()
        };
        for slot in [Slot::Embedding, Slot::Positions, Slot::Norm, Slot::Output] {
            assert_eq!(
                named(slot) > 0,
                shape.weight(slot).is_some(),
                "{}: {slot:?}",
                shape.family
            );
        }
        for block in &shape.blocks {
            for entry in shape.tensors.iter().filter(|entry| entry.in_layers()) {
                let held: Vec<Weight> = entry
                    .slots
                    .iter()
                    .filter_map(|&slot| shape.layer_weight(block, slot))
                    .collect();
                // What shares a tensor has rows of one width; a norm stands alone.
                let linear = held
                    .iter()
                    .all(|weight| matches!(weight, Weight::Linear { .. } | Weight::Experts { .. }));
                assert!(held.len() == 1 || linear, "{}: {}", shape.family, entry.stem);
                assert!(
                    matches!(entry.order, Order::Stacked | Order::Bare) || linear,
                    "{}: {}",
                    shape.family,
                    entry.stem
                );
            }
            for slot in tensors::IN_LAYERS {
                let expected = usize::from(shape.layer_weight(block, *slot).is_some());
                assert!(
                    named(*slot) >= expected && named(*slot) <= 1,
                    "{}: {slot:?}",
                    shape.family
                );
            }
        }
    }
}

/// The tables of GGUF files have every weight of every family, once.
#[test]
fn every_weight_has_a_name_in_gguf_files() {
    for family in FAMILIES.iter().filter(|family| family.gguf.is_some()) {
        let config = json!({"model_type": family.types[0]});
        let mut shape = config::parse(config.as_object().unwrap()).unwrap().model;
        gguf::adapt(&mut shape, family, &std::collections::BTreeMap::new());
        let named = |slot: Slot| shape.tensors.iter().filter(|entry| entry.slots.contains(&slot)).count();
        for slot in [Slot::Embedding, Slot::Positions, Slot::Norm, Slot::Output] {
            assert!(
                shape.weight(slot).is_none() || named(slot) == 1,
                "{}: {slot:?}",
                shape.family
            );
        }
        for block in &shape.blocks {
            for &slot in tensors::IN_LAYERS {
                let held = shape.layer_weight(block, slot);
                assert!(held.is_none() || named(slot) == 1, "{}: {slot:?}", shape.family);
                if let Some(Weight::Norm { norm, .. }) = held {
                    assert!(!norm.offset, "{}: {slot:?}", shape.family);
                }
            }
        }
    }
}

/// The table of docs/models.md says under which names each family is in GGUF files.
#[test]
fn the_documentation_lists_architectures_of_gguf_files() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/models.md")).unwrap();
    let (_, section) = text.split_once("### Families").unwrap();
    for family in FAMILIES {
        let row = section
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` |", family.types[0])));
        let cell = row.unwrap().split('|').nth(3).unwrap();
        let listed: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let known = family.gguf.as_ref().map_or(&[][..], |gguf| gguf.architectures);
        assert_eq!(listed, known, "{}", family.types[0]);
    }
}

/// The table of docs/models.md names every family, and no other.
#[test]
fn the_documentation_lists_every_family() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/models.md")).unwrap();
    let (_, section) = text.split_once("### Families").unwrap();
    let (section, _) = section.split_once("\nOf `gemma3`").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut listed: Vec<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
    let mut known: Vec<&str> = FAMILIES.iter().map(|family| family.types[0]).collect();
    listed.remove(0);
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
}

/// Configs of mixtures, of Falcon-RW and of Ministral 3 as their repositories have them.
#[test]
fn published_configs_are_read_without_a_warning() {
    let rope = json!({"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096,
        "rope_type": "yarn", "truncate": false});
    let configs = [
        json!({"architectures": ["MixtralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
            "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336,
            "max_position_embeddings": 32768, "model_type": "mixtral", "num_attention_heads": 32,
            "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 8,
            "output_router_logits": false, "rms_norm_eps": 1e-5, "rope_theta": 1e6, "router_aux_loss_coef": 0.02,
            "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
            "transformers_version": "4.36.0.dev0", "use_cache": true, "vocab_size": 32000}),
        json!({"architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
            "bos_token_id": 151_643, "decoder_sparse_step": 1, "eos_token_id": 151_645, "head_dim": 128,
            "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 6144,
            "max_position_embeddings": 40960, "max_window_layers": 48, "mlp_only_layers": [], "model_type": "qwen3_moe",
            "moe_intermediate_size": 768, "norm_topk_prob": true, "num_attention_heads": 32, "num_experts": 128,
            "num_experts_per_tok": 8, "num_hidden_layers": 48, "num_key_value_heads": 4, "output_router_logits": false,
            "rms_norm_eps": 1e-6, "rope_scaling": null, "rope_theta": 1e6, "router_aux_loss_coef": 0.001,
            "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
            "transformers_version": "4.51.0", "use_cache": true, "use_sliding_window": false, "vocab_size": 151_936}),
        json!({"architectures": ["GptOssForCausalLM"], "attention_bias": true, "attention_dropout": 0.0,
            "eos_token_id": 200_002, "experts_per_token": 4, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2880,
            "initial_context_length": 4096, "initializer_range": 0.02, "intermediate_size": 2880,
            "layer_types": ["sliding_attention", "full_attention"], "max_position_embeddings": 131_072,
            "model_type": "gpt_oss", "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 2,
            "num_key_value_heads": 8, "num_local_experts": 32, "output_router_logits": false, "pad_token_id": 199_999,
            "quantization_config": {"modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
                "model.embed_tokens", "lm_head"], "quant_method": "mxfp4"},
            "rms_norm_eps": 1e-5, "rope_scaling": rope, "rope_theta": 150_000, "router_aux_loss_coef": 0.9,
            "sliding_window": 128, "swiglu_limit": 7.0, "tie_word_embeddings": false,
            "transformers_version": "4.55.0.dev0", "use_cache": true, "vocab_size": 201_088}),
        json!({"alibi": true, "architectures": ["FalconForCausalLM"], "attention_dropout": 0.0, "bias": true,
            "bos_token_id": 1, "eos_token_id": 2, "hidden_dropout": 0.0, "hidden_size": 2048,
            "initializer_range": 0.02, "layer_norm_epsilon": 1e-5, "model_type": "falcon", "multi_query": false,
            "new_decoder_architecture": false, "num_attention_heads": 32, "num_hidden_layers": 24,
            "parallel_attn": false, "torch_dtype": "bfloat16", "transformers_version": "4.27.4", "use_cache": true,
            "vocab_size": 50304}),
        json!({"architectures": ["Ministral3ForCausalLM"], "attention_dropout": 0.0, "dtype": "bfloat16",
            "head_dim": 128, "hidden_act": "silu", "hidden_size": 3072, "initializer_range": 0.02,
            "intermediate_size": 9216, "max_position_embeddings": 262_144, "model_type": "ministral3",
            "num_attention_heads": 32, "num_hidden_layers": 26, "num_key_value_heads": 8, "rms_norm_eps": 1e-5,
            "rope_parameters": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 16.0, "llama_4_scaling_beta": 0.1,
                "max_position_embeddings": 262_144, "mscale": 1.0, "mscale_all_dim": 1.0,
                "original_max_position_embeddings": 16384, "rope_theta": 1e6, "rope_type": "yarn", "type": "yarn"},
            "sliding_window": null, "tie_word_embeddings": true, "use_cache": true, "vocab_size": 131_072}),
    ];
    for config in configs {
        let read = config::parse(config.as_object().unwrap()).unwrap_or_else(|e| panic!("{config}: {e}"));
        let warnings: Vec<String> = read.warnings.iter().map(ToString::to_string).collect();
        assert!(warnings.is_empty(), "{}: {warnings:?}", config["model_type"]);
    }
}

/// What transformers 4 wrote and what transformers 5 writes of the same models.
#[test]
fn files_of_transformers_4_and_5_are_read_alike() {
    let divisors = |first: f64| -> Vec<f64> { (0..48).map(|at| first + f64::from(at) / 7.0).collect() };
    let phi = json!({"architectures": ["Phi3ForCausalLM"], "attention_bias": false, "bos_token_id": 1, "eos_token_id": 32000,
        "hidden_act": "silu", "hidden_size": 3072, "intermediate_size": 8192, "max_position_embeddings": 131_072,
        "model_type": "phi3", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32,
        "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "sliding_window": 262_144,
        "tie_word_embeddings": false, "vocab_size": 32064});
    let gemma = json!({"architectures": ["Gemma3ForCausalLM"], "attention_bias": false, "attn_logit_softcapping": null,
        "final_logit_softcapping": null, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 640,
        "intermediate_size": 2048, "max_position_embeddings": 32768, "model_type": "gemma3_text",
        "num_attention_heads": 4, "num_hidden_layers": 18, "num_key_value_heads": 1, "query_pre_attn_scalar": 256,
        "rms_norm_eps": 1e-6, "sliding_window": 512, "vocab_size": 262_144});
    let long = |name: &str| {
        json!({"rope_scaling": {"long_factor": divisors(1.5), "short_factor": divisors(1.0), "type": name},
        "rope_theta": 10000.0, "torch_dtype": "bfloat16", "transformers_version": "4.41.2"})
    };
    let new = json!({"rope_parameters": {"long_factor": divisors(1.5), "short_factor": divisors(1.0),
        "rope_type": "longrope", "rope_theta": 10000.0}, "dtype": "bfloat16", "transformers_version": "5.0.0"});
    let kinds: Vec<&str> = (1..=18)
        .map(|layer| {
            if layer % 6 == 0 {
                "full_attention"
            } else {
                "sliding_attention"
            }
        })
        .collect();
    let pairs = [
        (&phi, long("longrope"), new.clone()),
        (&phi, long("su"), new.clone()),
        (&phi, long("yarn"), new),
        (
            &gemma,
            json!({"rope_theta": 1e6, "rope_local_base_freq": 1e4, "rope_scaling": null, "sliding_window_pattern": 6,
                "torch_dtype": "bfloat16", "transformers_version": "4.50.0"}),
            json!({"rope_parameters": {"full_attention": {"rope_theta": 1e6, "rope_type": "default"},
                "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"}}, "layer_types": kinds,
                "dtype": "bfloat16", "transformers_version": "5.0.0"}),
        ),
        (
            &gemma,
            json!({"rope_theta": 1e6, "rope_local_base_freq": 2e4, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
                "_sliding_window_pattern": 6, "layer_types": kinds, "transformers_version": "4.57.0"}),
            json!({"rope_parameters": {"full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 8.0},
                "sliding_attention": {"rope_theta": 2e4, "rope_type": "default"}}, "layer_types": kinds,
                "transformers_version": "5.0.0"}),
        ),
    ];
    for (shared, old, new) in pairs {
        let [old, new] = [old, new].map(|more| {
            let mut config = shared.as_object().unwrap().clone();
            config.extend(more.as_object().unwrap().clone());
            let read = config::parse(&config).unwrap_or_else(|e| panic!("{more}: {e}"));
            let warnings: Vec<String> = read.warnings.iter().map(ToString::to_string).collect();
            assert!(warnings.is_empty(), "{more}: {warnings:?}");
            format!("{:?}", read.model)
        });
        assert_eq!(old, new);
    }
}
