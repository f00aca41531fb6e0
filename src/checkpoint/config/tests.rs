//! What each field of `config.json` is read as, after transformers 4.57 and 5.24.

use serde_json::json;

use super::*;
use crate::families::tensors::Slot;
use crate::kernel::matrix::Code;

fn parsed(value: Value) -> Result<CheckpointConfig> {
    parse(value.as_object().unwrap())
}

fn a_llama() -> Value {
    json!({"architectures": ["LlamaForCausalLM"], "vocab_size": 10, "hidden_size": 8, "intermediate_size": 12,
        "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_act": "silu", "eos_token_id": [2, 7]})
}

#[test]
fn defaults_are_those_of_the_reference_implementation() {
    let config = parsed(a_llama()).unwrap();
    let llama = &config.model;
    assert_eq!(
        (key_heads(llama), width(llama), llama.rotary[0].theta),
        (2, 4, 10_000.0)
    );
    assert_eq!(config.special.eos, Some(2));
    assert!(!llama.output.tied);
}

#[test]
fn a_switch_that_is_not_computed_is_named() {
    for (key, value, told) in [
        ("hidden_act", json!("gelu"), "`hidden_act: \"gelu\"`"),
        (
            "rope_scaling",
            json!({"type": "proportional", "factor": 2.0}),
            "`rope_scaling:",
        ),
        ("attention_bias", json!("yes"), "`attention_bias: \"yes\"`"),
        ("num_attention_heads", json!(0), "`num_attention_heads: 0`"),
        ("hidden_size", json!(9), "`hidden_size: 9` is no multiple"),
        (
            "quantization_config",
            json!({"quant_method": "gptq", "bits": 4}),
            "`quantization_config`",
        ),
    ] {
        let mut config = a_llama();
        config[key] = value;
        let error = parsed(config).unwrap_err();
        assert!(error.message.contains(told), "{error}");
    }
}

#[test]
fn four_bits_of_bitsandbytes_are_known() {
    let mut config = a_llama();
    for (value, expected) in [
        (json!(null), None),
        (json!({"load_in_4bit": true}), Some(Code::Fp4)),
        (
            json!({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}),
            Some(Code::Nf4),
        ),
    ] {
        config["quantization_config"] = value;
        let found = parsed(config.clone()).unwrap().quantization;
        assert_eq!(found.and_then(|found| found.code()), expected);
    }
    config["quantization_config"] = json!({"quant_method": "bitsandbytes", "load_in_8bit": true});
    assert!(
        parsed(config)
            .unwrap_err()
            .message
            .contains("stored quantised by bitsandbytes in 8 bits (`load_in_8bit: true`)")
    );
}

#[test]
fn an_unknown_architecture_is_named() {
    let error = parsed(json!({"architectures": ["BloomForCausalLM"]})).unwrap_err();
    assert_eq!(error.message, "unknown architecture `BloomForCausalLM`");
    let help = |config: Value| parsed(config).unwrap_err().help.unwrap_or_default();
    assert_eq!(
        help(json!({"model_type": "qwen3_next"})),
        "`qwen3_next` needs layers of linear attention (gated DeltaNet), which igsite does not compute; choose another checkpoint"
    );
    // A switch of a family that is computed is refused with the family.
    assert_eq!(
        help(json!({"model_type": "cohere2", "use_qk_norm": true})),
        "igsite does not compute this variant of `cohere2`"
    );
}

#[test]
fn falcon_ignores_num_kv_heads_under_multi_query() {
    let config = parsed(
        json!({"model_type": "RefinedWebModel", "architectures": ["RWForCausalLM"], "vocab_size": 10,
        "hidden_size": 8, "n_layer": 1, "n_head": 2, "num_kv_heads": 71, "multi_query": true, "bias": false}),
    )
    .unwrap();
    let falcon = config.model;
    assert!(falcon.output.tied);
    assert_eq!(
        (key_heads(&falcon), width(&falcon), falcon.rotary[0].theta),
        (1, 4, 10_000.0)
    );
}

fn model_of(config: Value) -> Shape {
    parsed(config).unwrap().model
}

fn key_heads(shape: &Shape) -> usize {
    shape.block(0).attention.heads.key
}

fn width(shape: &Shape) -> usize {
    shape.block(0).attention.heads.width
}

#[test]
fn what_is_left_out_has_transformers_defaults() {
    let config = parsed(json!({"model_type": "llama"})).unwrap();
    let llama = &config.model;
    assert_eq!(
        (llama.vocabulary, llama.hidden, llama.block(0).mlp.inner, llama.layers),
        (32_000, 4096, 11_008, 32)
    );
    assert_eq!((key_heads(llama), width(llama)), (32, 128));
    // They are those of a published model: they are told.
    let told = &config.warnings.iter().next().unwrap().message;
    assert!(told.contains("`num_attention_heads: 32`"), "{told}");

    let mistral = model_of(json!({"model_type": "mistral"}));
    assert_eq!((key_heads(&mistral), mistral.block(0).mlp.inner), (8, 14_336));
    assert_eq!(mistral.block(0).attention.window, Some(4096));
    let null = model_of(json!({"model_type": "mistral", "num_key_value_heads": null, "sliding_window": null}));
    assert_eq!((key_heads(&null), null.block(0).attention.window), (32, None));

    let falcon = model_of(json!({"model_type": "falcon"}));
    assert_eq!(
        (falcon.vocabulary, falcon.hidden, falcon.block(0).attention.heads.query),
        (65_024, 4544, 71)
    );
}

#[test]
fn the_model_type_leads() {
    for (config, expected) in [
        (
            json!({"model_type": "mistral", "architectures": ["LlamaForCausalLM"]}),
            "mistral",
        ),
        (
            json!({"model_type": "llama", "architectures": ["MistralForCausalLM"]}),
            "llama",
        ),
        (json!({"model_type": "llama", "architectures": null}), "llama"),
        (json!({"architectures": ["MistralForCausalLM"]}), "mistral"),
        (
            json!({"model_type": null, "architectures": ["RWForCausalLM"]}),
            "falcon",
        ),
        (json!({"model_type": "RefinedWebModel"}), "falcon"),
    ] {
        assert_eq!(model_of(config.clone()).family, expected, "{config}");
    }
    for config in [
        json!({"model_type": "bloom", "architectures": ["LlamaForCausalLM"]}),
        json!({}),
        json!({"model_type": 1}),
        json!({"architectures": "LlamaForCausalLM"}),
    ] {
        assert!(parsed(config.clone()).is_err(), "{config}");
    }
}

#[test]
fn layers_may_have_windows_of_their_own() {
    let kinds = |kinds: [&str; 3], window: Value| {
        json!({"model_type": "mistral", "num_hidden_layers": 3, "sliding_window": window,
            "layer_types": kinds.map(|kind| format!("{kind}_attention"))})
    };
    let windows = |config: Value| {
        let model = model_of(config);
        [0, 1, 2].map(|layer| model.block(layer).attention.window)
    };
    let w = Some(7);
    assert_eq!(windows(kinds(["sliding", "full", "sliding"], json!(7))), [w, None, w]);
    assert_eq!(windows(kinds(["sliding"; 3], json!(7))), [w; 3]);
    assert_eq!(windows(kinds(["full"; 3], json!(7))), [None; 3]);
    assert_eq!(windows(kinds(["full"; 3], Value::Null)), [None; 3]);
    for wrong in [
        kinds(["sliding", "full", "full"], Value::Null),
        kinds(["linear", "full", "full"], json!(7)),
        json!({"model_type": "mistral", "num_hidden_layers": 2, "layer_types": ["full_attention"]}),
        json!({"model_type": "mistral", "num_hidden_layers": 1, "layer_types": ["full_attention"],
            "rope_parameters": {"full_attention": {"rope_theta": 5.0}}}),
        json!({"model_type": "mistral", "sliding_window": 0}),
    ] {
        assert!(parsed(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn a_value_of_another_type_is_named() {
    for (key, values) in [
        (
            "rms_norm_eps",
            vec![
                json!("1e-5"),
                json!(null),
                json!(0),
                json!(-1.0),
                json!([1e-5]),
                json!("NaN"),
            ],
        ),
        (
            "num_hidden_layers",
            vec![
                json!(2.0),
                json!(true),
                json!("2"),
                json!(null),
                json!(-2),
                json!(1u64 << 40),
            ],
        ),
        ("num_key_value_heads", vec![json!("2"), json!(0), json!(1.0)]),
        ("tie_word_embeddings", vec![json!(1), json!("true"), json!(null)]),
        (
            "rope_theta",
            vec![json!("1e4"), json!(null), json!(0), json!("Infinity")],
        ),
        ("rope_scaling", vec![json!("linear"), json!(1), json!([1])]),
        ("hidden_act", vec![json!(null), json!(1), json!("gelu_new")]),
        ("architectures", vec![json!("LlamaForCausalLM"), json!([1])]),
        (
            "eos_token_id",
            vec![json!("2"), json!(2.0), json!([2, "3"]), json!(1u64 << 33)],
        ),
        ("max_position_embeddings", vec![json!("2048"), json!(2048.0)]),
        ("dtype", vec![json!(16)]),
        ("layer_types", vec![json!("full_attention"), json!([0])]),
        ("attention_bias", vec![json!(0), json!("no")]),
    ] {
        for value in values {
            let mut config = a_llama();
            config[key] = value.clone();
            let Err(error) = parsed(config) else {
                panic!("`{key}: {value}` was accepted")
            };
            assert!(error.message.contains(&format!("`{key}: ")), "{key}: {value}: {error}");
        }
    }
}

#[test]
fn falcons_switches_are_read_as_python_reads_them() {
    let falcon = |key: &str, value: Value| {
        let mut config = json!({"model_type": "falcon", "hidden_size": 16, "num_attention_heads": 4});
        config[key] = value;
        parsed(config)
    };
    for (key, value) in [
        ("activation", json!("gelu_python")),
        ("bias", json!(null)),
        ("alibi", json!(null)),
        ("num_ln_in_parallel_attn", json!(null)),
        ("ffn_hidden_size", json!(64)),
        ("n_embed", json!(16)),
        ("hidden_act", json!("gelu")),
    ] {
        falcon(key, value).unwrap_or_else(|error| panic!("{key}: {error}"));
    }
    for (key, value) in [
        ("activation", json!("quick_gelu")),
        ("activation", json!(null)),
        ("num_ln_in_parallel_attn", json!(2)),
    ] {
        assert!(falcon(key, value.clone()).is_err(), "{key}: {value}");
    }
    assert_eq!(falcon("n_embed", json!(32)).unwrap().model.hidden, 32);
    let alibi = falcon("alibi", json!(true)).unwrap().model;
    assert!(alibi.blocks[0].attention.alibi && alibi.blocks[0].attention.rotary.is_none() && alibi.rotary.is_empty());
}

#[test]
fn what_ends_a_text_is_read_from_both_files() {
    let folder = tempfile::tempdir().unwrap();
    let stop = |config: &Value, generation: Option<&str>| {
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let beside = folder.path().join("generation_config.json");
        _ = std::fs::remove_file(&beside);
        if let Some(text) = generation {
            std::fs::write(beside, text).unwrap();
        }
        read(&folder.path().join("config.json")).map(|config| config.stop)
    };
    let mut config = a_llama();
    assert_eq!(
        stop(&config, Some("{\"eos_token_id\": [7, 9], \"temperature\": NaN}")).unwrap(),
        [2, 7, 9]
    );
    config["eos_token_id"] = json!(null);
    assert!(stop(&config, None).unwrap().is_empty());
    config.as_object_mut().unwrap().remove("eos_token_id");
    assert_eq!(stop(&config, None).unwrap(), [2]);
    assert_eq!(stop(&config, Some("{\"eos_token_id\": 9}")).unwrap(), [9]);
    for bad in ["[]", "{\"eos_token_id\": \"9\"}", "{"] {
        let error = stop(&config, Some(bad)).unwrap_err();
        assert!(error.file.unwrap().ends_with("generation_config.json"), "{bad}");
    }
}

mod any_config {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|n| json!(n)),
            "[a-z_]{0,8}".prop_map(Value::from),
            Just(json!([])),
            Just(json!({})),
            Just(json!(["full_attention", 1])),
            Just(json!({"rope_type": "default", "rope_theta": 5})),
            Just(json!({"type": ["linear"], "factor": null})),
            Just(json!({"rope_type": "yarn", "factor": 3.0, "rope_theta": 0.5})),
            Just(json!({"rope_type": "longrope", "short_factor": [1.0], "long_factor": []})),
            Just(json!({"full_attention": {"rope_type": "llama3"}, "sliding_attention": 1})),
            (1u64..1 << 28).prop_map(Value::from),
        ]
    }

    proptest! {
        #[test]
        fn never_panics(
            model in proptest::sample::select(crate::families::FAMILIES),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), value()), 0..6),
        ) {
            const KEYS: [&str; 44] = [
                "architectures", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                "num_attention_heads", "num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta", "rope_scaling",
                "rope_parameters", "sliding_window", "layer_types", "tie_word_embeddings", "hidden_act",
                "quantization_config", "eos_token_id", "dtype", "auto_map", "max_position_embeddings", "n_embed",
                "ffn_hidden_size", "transformers_weights", "sliding_window_pattern", "max_window_layers",
                "use_sliding_window", "no_rope_layers", "no_rope_layer_interval", "partial_rotary_factor", "rotary_pct",
                "n_embd", "n_positions", "n_inner", "logit_scale", "logits_scaling", "final_logit_softcapping",
                "query_pre_attn_scalar", "num_kv_heads", "new_decoder_architecture", "attention_bias", "text_config",
                "original_max_position_embeddings", "num_ln_in_parallel_attn",
            ];
            let mut config = json!({"model_type": model.types[0]});
            for (key, value) in changes {
                config[*key.get(&KEYS)] = value;
            }
            if let Ok(read) = parsed(config) {
                // What was accepted can be laid out.
                let shape = read.model;
                prop_assert!(shape.hidden > 0 && shape.layers > 0);
                prop_assert!(shape.layer_weight(shape.block(shape.layers - 1), Slot::Query).is_some());
                prop_assert!(shape.pattern.len() <= 1 << 16);
            }
        }
    }
}
