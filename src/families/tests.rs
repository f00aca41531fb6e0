//! What the tables of all families promise.

use serde_json::{Value, json};

use super::*;
use crate::checkpoint::config::{self, CheckpointConfig};
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
            let mut model = read.model;
            // A period is as good as the layers one by one.
            model.pattern = (0..model.layers)
                .map(|layer| model.pattern[layer % model.pattern.len()])
                .collect();
            format!("{model:?}")
        });
        assert_eq!(old, new);
    }
}

/// A small `config.json` of a family, with more keys: the shape that is read, and what is warned of.
fn read_with(family: &str, more: &Value) -> (String, String) {
    let mut config = json!({"model_type": family, "vocab_size": 40, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
        "head_dim": 8});
    if ["gpt_neox", "phi3"].contains(&family) {
        config.as_object_mut().unwrap().remove("head_dim");
    }
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let read = config::parse(config.as_object().unwrap()).unwrap_or_else(|error| panic!("{family}, {more}: {error}"));
    let warnings: Vec<String> = read.warnings.iter().map(ToString::to_string).collect();
    (format!("{:?}", read.model), warnings.join("\n"))
}

/// Keys that a family's class of transformers 5.24 does not read change nothing, and are told of.
#[test]
fn what_transformers_passes_over_changes_nothing_and_is_told() {
    let yarn = json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64});
    let nested = |more: &str, value: Value| {
        let mut full = yarn.clone();
        full[more] = value;
        json!({"rope_parameters": {"full_attention": full,
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}})
    };
    for (family, without, with, told) in [
        (
            "gemma3_text",
            json!({}),
            json!({"attn_logit_softcapping": 50.0}),
            "`attn_logit_softcapping: 50.0`",
        ),
        (
            "gemma3_text",
            json!({}),
            json!({"_sliding_window_pattern": 2}),
            "`_sliding_window_pattern: 2`",
        ),
        (
            "gpt_neox",
            json!({"rotary_emb_base": 20000, "rotary_pct": 1.0}),
            json!({"rotary_emb_base": 20000, "rotary_pct": 1.0, "rope_theta": 50000}),
            "`rope_theta: 50000`",
        ),
        (
            "gpt_neox",
            json!({"rotary_pct": 1.0}),
            json!({"rotary_pct": 1.0, "partial_rotary_factor": 0.5}),
            "`partial_rotary_factor: 0.5`",
        ),
        (
            "olmo3",
            nested("truncate", json!(true)),
            nested("truncate", json!(false)),
            "`truncate: false`",
        ),
        ("llama", json!({}), json!({"sliding_window": 4}), "`sliding_window: 4`"),
    ] {
        let (expected, quiet) = read_with(family, &without);
        let (found, warnings) = read_with(family, &with);
        assert_eq!(found, expected, "{family}, {with}");
        assert!(warnings.contains(told) && !quiet.contains(told), "{family}: {warnings}");
    }
    // Gemma 2 reads its cap, and what is said twice alike is not told of.
    let of = |family, more| read_with(family, &more);
    assert_ne!(
        of("gemma2", json!({"attn_logit_softcapping": 20.0})).0,
        of("gemma2", json!({})).0
    );
    let same = json!({"rotary_emb_base": 10000, "rope_theta": 10000.0});
    assert!(!of("gpt_neox", same).1.contains("rope_theta"));
}

/// What a family has where the file says nothing, or says it in another place, as transformers 5.24 has it.
#[test]
fn defaults_and_places_of_rotary_settings() {
    let long = |more: Value| {
        let factors = json!([1.0, 1.5, 2.0, 2.5]);
        let mut scaling = json!({"rope_type": "longrope", "short_factor": factors, "long_factor": factors});
        scaling
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"max_position_embeddings": 131_072, "rope_scaling": scaling})
    };
    let with = |mut config: Value, key: &str, value: Value| {
        config[key] = value;
        config
    };
    let same = |family: &str, one: Value, other: Value| {
        let (one, other) = (read_with(family, &one).0, read_with(family, &other).0);
        assert_eq!(one, other, "{family}");
    };
    // Phi-3's class has a number at the top, which comes before that among the settings.
    let top = "original_max_position_embeddings";
    same("phi3", long(json!({})), with(long(json!({})), top, json!(4096)));
    same(
        "phi3",
        long(json!({top: 8192})),
        with(long(json!({})), top, json!(4096)),
    );
    assert!(
        read_with("phi3", &long(json!({top: 8192})))
            .0
            .contains("original: 4096")
    );
    // Ministral 3's settings have a base of their own only as a whole.
    let growing = json!({"rope_type": "yarn", "factor": 16.0, top: 16384, "llama_4_scaling_beta": 0.1});
    let of = |base: f64| json!({"rope_parameters": with(growing.clone(), "rope_theta", json!(base))});
    same("ministral3", json!({"rope_parameters": growing}), of(1e4));
    assert!(read_with("ministral3", &json!({})).0.contains("theta: 1000000.0"));
    assert!(
        read_with("ministral3", &json!({"rope_theta": 5e4}))
            .0
            .contains("theta: 1000000.0")
    );
    // The stretch of queries goes by the number at the top, as YaRN does.
    let both = with(of(1e4), top, json!(1024));
    let (found, _) = read_with("ministral3", &both);
    assert_eq!(found.matches("original: 1024").count(), 3, "{found}");
    // Settings with nothing in them are not the same as none.
    assert!(read_with("gpt_oss", &json!({})).0.contains("Yarn"));
    assert!(!read_with("gpt_oss", &json!({"rope_parameters": {}})).0.contains("Yarn"));
    // Where layers are of two kinds the inner number comes first, and scaling is put over what is said of a kind.
    let kinds = json!({"full_attention": {"rope_type": "yarn", "rope_theta": 123.0, "factor": 4.0, top: 8192},
        "sliding_attention": {"rope_type": "default", "rope_theta": 77.0}});
    let (found, _) = read_with("olmo3", &json!({"rope_parameters": kinds, top: 1024}));
    assert!(found.contains("original: 8192"), "{found}");
    let scaled = json!({"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 123.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 77.0}},
        "rope_scaling": {"rope_type": "linear", "factor": 8.0}});
    let (found, _) = read_with("gemma3_text", &scaled);
    assert!(found.contains("theta: 123.0") && found.contains("Linear(8.0)") && found.contains("theta: 77.0"));
    let (_, told) = read_with("olmo3", &json!({"rope_theta": 10000}));
    assert!(
        told.contains("`rope_theta: 10000`") && told.contains("500000"),
        "{told}"
    );
    // Two names of one thing.
    let gpt2 = json!({"model_type": "gpt2", "vocab_size": 40, "n_embd": 24, "n_layer": 1, "n_head": 12,
        "num_attention_heads": 6});
    let error = config::parse(gpt2.as_object().unwrap()).unwrap_err().to_string();
    assert!(
        error.contains("`n_head: 12`") && error.contains("`num_attention_heads`"),
        "{error}"
    );
}

/// A language model within one of texts and images is what the whole file makes of it.
#[test]
fn the_file_around_a_language_model_decides() {
    let inner = |family: &str, more: Value| {
        let mut inner = json!({"model_type": family, "vocab_size": 40, "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "max_position_embeddings": 512, "head_dim": 8, "sliding_window": 4});
        inner.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        inner
    };
    let read = |config: Value| config::parse(config.as_object().unwrap());
    let told = |config: &CheckpointConfig| -> String {
        let all: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        all.join("\n")
    };
    // The whole ties unless it says otherwise, whatever its parts say.
    for (outer, of_inner, tied) in [
        (json!(null), json!(false), true),
        (json!(true), json!(false), true),
        (json!(false), json!(true), false),
    ] {
        let config = json!({"model_type": "mistral3", "tie_word_embeddings": outer, "vision_config": {},
            "text_config": inner("mistral", json!({"tie_word_embeddings": of_inner}))});
        assert_eq!(read(config).unwrap().model.output.tied, tied);
    }
    for (outer, family, key, value) in [
        ("gemma3", "gemma3_text", "final_logit_softcapping", json!(30.0)),
        (
            "mistral3",
            "mistral",
            "layer_types",
            json!(["full_attention", "full_attention"]),
        ),
    ] {
        let of = |more: Value| read(json!({"model_type": outer, "text_config": inner(family, more)})).unwrap();
        let (without, with) = (of(json!({})), of(json!({key: value})));
        assert_eq!(without.model, with.model, "{outer}");
        assert!(told(&with).contains(&format!("`{key}: ")), "{outer}: {}", told(&with));
        assert!(!told(&without).contains(key), "{outer}: {}", told(&without));
        // Its type may be left out.
        let mut nameless = inner(family, json!({}));
        nameless.as_object_mut().unwrap().remove("model_type");
        let nameless = read(json!({"model_type": outer, "text_config": nameless})).unwrap();
        assert_eq!(nameless.model, without.model, "{outer}");
        // What would be another model around it is refused, and what is not known is told.
        let around = |key: &str, value: Value| {
            let mut config = json!({"model_type": outer, "text_config": inner(family, json!({}))});
            config[key] = value;
            read(config)
        };
        let error = around("quantization", json!({"bits": 4})).unwrap_err().to_string();
        assert!(error.contains("`quantization: "), "{error}");
        assert!(told(&around("spin", json!(2)).unwrap()).contains("`spin: 2`"));
    }
}
