//! `config.json` is read as transformers 5 reads it: each form of a setting against the plain one, by the numbers that
//! come of it.
mod support;

use serde_json::{Value, json};
use support::project::Project;
use support::tiny;
use support::tried::{Tried, checkpoint, logits_of, same, tried};

/// A config with some fields set, and those that are null left out.
fn with(fields: &Value) -> Value {
    let mut config = tiny::config();
    for (key, value) in fields.as_object().unwrap() {
        match value {
            Value::Null => _ = config.as_object_mut().unwrap().remove(key),
            value => config[key] = value.clone(),
        }
    }
    config
}

fn of(config: &Value) -> Tried {
    tried(checkpoint(config, &tiny::tensors()).path())
}

#[test]
fn the_base_of_rotary_positions_stands_in_many_places() {
    let plain = of(&with(&json!({})));
    let base = of(&with(&json!({"rope_theta": 500_000.0})));
    assert!(base.warnings.is_empty(), "{:?}", base.warnings);
    assert!(!same(&plain.logits, &base.logits));
    // Fields, whether the base is 500,000 (else 10,000), and what is warned of.
    for (fields, larger, warned) in [
        (
            json!({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
            true,
            None,
        ),
        (json!({"rope_parameters": {"rope_theta": 5e5}}), true, None),
        (
            json!({"rope_parameters": {"rope_type": "default"}, "rope_theta": 5e5}),
            true,
            None,
        ),
        (json!({"rope_parameters": {}, "rope_theta": 5e5}), true, None),
        (json!({"rope_scaling": {}, "rope_theta": 5e5}), true, None),
        (json!({"rope_scaling": [], "rope_theta": 5e5}), true, None),
        (json!({"rope_scaling": false, "rope_theta": 500_000}), true, None),
        (
            json!({"rope_scaling": {"type": "default"}, "rope_theta": 5e5}),
            true,
            None,
        ),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 1.0}, "rope_theta": 5e5}),
            true,
            None,
        ),
        (json!({"rope_theta": 5e5, "partial_rotary_factor": 1}), true, None),
        (
            json!({"rope_parameters": {"rope_theta": 5e5, "partial_rotary_factor": 1.0}}),
            true,
            None,
        ),
        (
            json!({"rope_scaling": {"rope_type": "default", "rope_theta": 5e5}}),
            true,
            Some("transformers 4"),
        ),
        (
            json!({"rope_scaling": {"rope_theta": 5e5}}),
            true,
            Some("transformers 4"),
        ),
        (
            json!({"rope_parameters": {"rope_theta": 5e5}, "rope_theta": 1e4}),
            true,
            Some("`rope_theta: 10000` beside it"),
        ),
        (
            json!({"rope_scaling": {"type": "default"}, "rope_parameters": {"rope_theta": 5e5}}),
            false,
            Some("say different things"),
        ),
        // Llama's layers are all alike: settings by kind of layer are not its own.
        (
            json!({"rope_parameters": {"full_attention": {"rope_theta": 5e5}}}),
            false,
            Some("not used by plain rotary positions"),
        ),
        (
            json!({"rope_parameters": {"rope_type": "default", "factor": 8.0, "rope_theta": 5e5}}),
            true,
            Some("`factor: 8.0`"),
        ),
    ] {
        let got = of(&with(&fields));
        assert!(
            same(&got.logits, if larger { &base.logits } else { &plain.logits }),
            "{fields}"
        );
        match warned {
            None => assert!(got.warnings.is_empty(), "{fields}: {:?}", got.warnings),
            Some(told) => assert!(
                got.warnings.iter().any(|w| w.contains(told)),
                "{fields}: {:?}",
                got.warnings
            ),
        }
    }
}

#[test]
fn settings_that_change_nothing_are_accepted() {
    let plain = of(&tiny::config());
    for fields in [
        json!({"hidden_act": "swish"}),
        json!({"hidden_act": null}),
        json!({"pretraining_tp": 2}),
        json!({"attention_dropout": 0.1, "use_cache": false, "_name_or_path": "x", "temperature": 0.5}),
        json!({"attention_bias": false, "mlp_bias": false}),
        json!({"pad_token_id": -1}),
        json!({"torch_dtype": null, "dtype": "float32"}),
        json!({"dtype": "float32", "torch_dtype": "bfloat16"}),
        json!({"auto_map": {"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"}}),
        json!({"layer_types": ["full_attention", "full_attention"]}),
        json!({"use_sliding_window": false, "max_window_layers": 3}),
    ] {
        let got = of(&with(&fields));
        assert!(same(&got.logits, &plain.logits), "{fields}");
        assert!(got.warnings.is_empty(), "{fields}: {:?}", got.warnings);
    }
}

#[test]
fn what_is_passed_over_is_told() {
    let plain = of(&tiny::config());
    for (fields, told) in [
        (json!({"logit_scale": 0.5}), "`logit_scale: 0.5`"),
        (json!({"is_causal": false}), "`is_causal: false`"),
        (json!({"sliding_window": 4}), "`sliding_window: 4`"),
        (json!({"use_sliding_window": true}), "`use_sliding_window: true`"),
        (
            json!({"architectures": ["MistralForCausalLM"]}),
            "`architectures` says `MistralForCausalLM`",
        ),
        (
            json!({"architectures": ["LlamaForSequenceClassification"]}),
            "`architectures` says",
        ),
        (
            json!({"auto_map": {"AutoModelForCausalLM": "someone/repo--modeling.OtherForCausalLM"}}),
            "code of its own",
        ),
        (json!({"dtype": "float16"}), "weights in float32"),
        (json!({"dtype": "float64"}), "`dtype: float64`"),
        (
            json!({"num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"]}),
            "`sliding_attention`",
        ),
    ] {
        let got = of(&with(&fields));
        assert!(same(&got.logits, &plain.logits), "{fields}");
        assert!(
            got.warnings.iter().any(|w| w.contains(told)),
            "{fields}: {:?}",
            got.warnings
        );
    }
}

fn mistral(fields: &Value) -> Value {
    let mut all = json!({"model_type": "mistral", "architectures": ["MistralForCausalLM"]});
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    with(&all)
}

#[test]
fn a_window_is_that_of_transformers() {
    let full = of(&tiny::config());
    let null = || {
        let mut config = mistral(&json!({}));
        config["sliding_window"] = Value::Null;
        config
    };
    assert!(same(&of(&null()).logits, &full.logits));
    // The default of 4,096 is longer than the prompt.
    let default = of(&mistral(&json!({})));
    assert!(same(&default.logits, &full.logits));
    assert!(
        default.warnings[0].contains("`sliding_window: 4096`"),
        "{:?}",
        default.warnings
    );
    let window = of(&mistral(&json!({"sliding_window": 4})));
    assert!(!same(&window.logits, &full.logits) && window.warnings.is_empty());
    // `model_type` leads, whatever `architectures` says.
    let named = of(&mistral(
        &json!({"sliding_window": 4, "architectures": ["LlamaForCausalLM"]}),
    ));
    assert!(same(&named.logits, &window.logits) && named.warnings[0].contains("goes by `model_type`"));
    // What Qwen2 calls so does not switch it off.
    let used = of(&mistral(&json!({"sliding_window": 4, "use_sliding_window": false})));
    assert!(same(&used.logits, &window.logits) && used.warnings[0].contains("use_sliding_window"));

    let kinds = |first: &str, second: &str| {
        let kinds = [format!("{first}_attention"), format!("{second}_attention")];
        of(&mistral(&json!({"sliding_window": 4, "layer_types": kinds})))
    };
    assert!(same(&kinds("sliding", "sliding").logits, &window.logits));
    assert!(same(&kinds("full", "full").logits, &full.logits));
    let mixed = [kinds("full", "sliding").logits, kinds("sliding", "full").logits];
    for (index, logits) in mixed.iter().enumerate() {
        for other in [&full.logits, &window.logits, &mixed[1 - index]] {
            assert!(!same(logits, other));
        }
    }
}

/// With a window of one in the first layer its positions see nothing but themselves; the second then sees all of them,
/// and their order by rotary positions alone.
#[test]
fn each_layer_has_its_own_window() {
    let kinds = |first: &str, second: &str| {
        checkpoint(
            &mistral(
                &json!({"sliding_window": 1, "layer_types": [format!("{first}_attention"), format!("{second}_attention")]}),
            ),
            &tiny::tensors(),
        )
    };
    let logits = |folder: &tempfile::TempDir, ids: &[i64]| logits_of(folder.path(), ids).unwrap().logits;
    let none = kinds("sliding", "sliding");
    assert!(same(&logits(&none, &[1, 300, 301]), &logits(&none, &[1, 270, 301])));
    for seeing in [kinds("full", "sliding"), kinds("sliding", "full")] {
        assert!(!same(
            &logits(&seeing, &[1, 300, 301]),
            &logits(&seeing, &[1, 270, 301])
        ));
    }
}

#[test]
fn numbers_that_only_python_writes_are_read() {
    let project = Project::small();
    let text = tiny::config().to_string();
    let text = format!(
        "{}, \"router_limit\": Infinity, \"x\": -Infinity, \"rope_scaling\": null}}",
        &text[..text.len() - 1]
    );
    let project = project.file("content/models/tiny/config.json", &text).file(
        "content/models/tiny/generation_config.json",
        "{\"eos_token_id\": 2, \"temperature\": NaN}",
    );
    let told = project.run(&["check", "--device", "cpu"]);
    let told = told.ended(0);
    assert!(
        told.contains("warning") && told.contains("`router_limit: \"Infinity\"`"),
        "{told}"
    );
    // Where it counts, it is refused.
    let mut config = tiny::config();
    config["rms_norm_eps"] = json!("@");
    let wrong = project.file(
        "content/models/tiny/config.json",
        config.to_string().replace("\"@\"", "NaN"),
    );
    let told = wrong.run(&["check", "--device", "cpu"]);
    assert!(told.ended(1).contains("`rms_norm_eps: \"NaN\"`"), "{}", told.stderr);
}

#[test]
fn the_true_reason_is_told() {
    for (fields, told) in [
        (
            json!({"model_type": "bloom"}),
            "unknown architecture `model_type: bloom` (`LlamaForCausalLM`)",
        ),
        (json!({"text_config": {"model_type": "llama"}}), "`text_config:"),
        (
            json!({"per_layer_config": {"0": {"head_dim": 8}}}),
            "`per_layer_config:",
        ),
        (json!({"partial_rotary_factor": 0.5}), "`partial_rotary_factor: 0.5`"),
        (
            json!({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}),
            "`rope_parameters:",
        ),
        (json!({"rope_scaling": {"type": "linear"}}), "`rope_scaling:"),
        (
            json!({"rope_scaling": {"type": "linear", "rope_type": "default"}}),
            "`rope_scaling:",
        ),
        (json!({"rope_scaling": "linear"}), "`rope_scaling: \"linear\"`"),
        (json!({"attention_bias": true}), "self_attn.q_proj.bias`"),
        (json!({"mlp_bias": true}), "mlp.gate_proj.bias`"),
        (json!({"rms_norm_eps": "1e-5"}), "`rms_norm_eps: \"1e-5\"`"),
        (json!({"num_hidden_layers": 2.0}), "`num_hidden_layers: 2.0`"),
        (json!({"tie_word_embeddings": 1}), "`tie_word_embeddings: 1`"),
        (json!({"eos_token_id": "2"}), "`eos_token_id: \"2\"`"),
        (
            json!({"quantization_config": {"quant_method": "hqq"}}),
            "quantised by hqq",
        ),
        (json!({"quantization": {"bits": 4}}), "`quantization:"),
        (json!({"vocab_size": 12}), "expected: [12, 16], by config.json"),
    ] {
        let folder = checkpoint(&with(&fields), &tiny::tensors());
        let error = logits_of(folder.path(), &[1])
            .err()
            .unwrap_or_else(|| panic!("{fields} was accepted"));
        assert!(error.to_string().contains(told), "{fields}: {error}");
    }
}

/// A language model within a model of texts and images, as transformers 4 and 5 save it, and one without its base's
/// prefix.
#[test]
fn a_language_model_is_found_within_another() {
    let plain = of(&mistral(&json!({})));
    let inner = mistral(&json!({"architectures": null, "torch_dtype": null, "eos_token_id": null}));
    let outer = json!({"model_type": "mistral3", "architectures": ["Mistral3ForConditionalGeneration"],
        "text_config": inner, "vision_config": {"hidden_size": 8}, "image_token_index": 9, "eos_token_id": 2});
    let renamed = |rename: &dyn Fn(&str) -> String| -> tiny::Tensors {
        let tensors = tiny::tensors().into_iter();
        tensors.map(|(name, tensor)| (rename(&name), tensor)).collect()
    };
    let older = renamed(&|name| format!("language_model.{name}"));
    let newer = renamed(&|name| name.replace("model.", "model.language_model."));
    let bare = renamed(&|name| name.strip_prefix("model.").unwrap_or(name).to_owned());
    for (config, tensors) in [(&outer, older), (&outer, newer), (&mistral(&json!({})), bare)] {
        let got = tried(checkpoint(config, &tensors).path());
        assert!(same(&got.logits, &plain.logits), "{config}");
    }
}

#[test]
fn a_warning_of_a_model_is_told_by_check_and_build() {
    let mut config = tiny::config();
    config["logit_scale"] = json!(0.5);
    let project = Project::small().file("content/models/tiny/config.json", config.to_string());
    for command in ["check", "build"] {
        let told = project.run(&[command, "--device", "cpu"]);
        assert!(
            told.ended(0)
                .contains("config.json: settings that igsite does not know"),
            "{}",
            told.stderr
        );
    }
}
