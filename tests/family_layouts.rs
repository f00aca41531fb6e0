//! Every family's checkpoint, as its table of names has it: what is written is read back as the same model, and a
//! tensor too few, too many or of another shape is an error that names it.
mod support;

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use igsite::checkpoint::{Checkpoint, config};
use igsite::families::FAMILIES;
use igsite::model::CausalLm;
use serde_json::{Value, json};
use support::tiny;

/// A small `config.json` of a family: every switch at its default but for the sizes.
fn config_of(family: &str) -> Value {
    match family {
        "gpt2" => {
            json!({"model_type": "gpt2", "vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32})
        }
        _ => json!({
            "model_type": family, "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": if family == "phi" { 4 } else { 8 },
            "num_local_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 12,
        }),
    }
}

/// Variants that have other tensors.
fn variants() -> Vec<Value> {
    let mut all: Vec<Value> = FAMILIES.iter().map(|family| config_of(family.types[0])).collect();
    let mut with = |family: &str, more: Value| {
        let mut config = config_of(family);
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        all.push(config);
    };
    with(
        "llama",
        json!({"attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true}),
    );
    with("falcon", json!({"new_decoder_architecture": true, "num_kv_heads": 2}));
    with(
        "falcon",
        json!({"multi_query": false, "parallel_attn": false, "bias": true}),
    );
    with(
        "falcon",
        json!({"alibi": true, "multi_query": false, "parallel_attn": false, "bias": true}),
    );
    with("qwen3_moe", json!({"mlp_only_layers": [1]}));
    with(
        "gpt_neox",
        json!({"use_parallel_residual": false, "attention_bias": false}),
    );
    with("stablelm", json!({"use_parallel_residual": true, "use_qkv_bias": true}));
    with("starcoder2", json!({"use_bias": false, "tie_word_embeddings": false}));
    all
}

fn tensors(model: &CausalLm) -> tiny::Tensors {
    let named = model.named_parameters().into_iter().map(|(name, parameter)| {
        let data = parameter.into_data();
        (name, (data.shape().to_vec(), data.try_to_vec::<f32>().unwrap()))
    });
    named.collect::<BTreeMap<_, _>>()
}

fn logits(model: &CausalLm) -> Vec<f32> {
    let ids = Tensor::<2, Int>::from_data(TensorData::new(vec![3_i64, 17, 39, 0, 8], [1, 5]), &Device::flex());
    model.last_logits(model.embed(ids)).into_data().try_to_vec().unwrap()
}

fn opened(config: &Value, tensors: &tiny::Tensors) -> (tempfile::TempDir, Checkpoint) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    tiny::write_safetensors(&folder.path().join("model.safetensors"), tensors);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    (folder, checkpoint)
}

#[test]
fn what_is_written_is_read_back() {
    for config in variants() {
        let shape = config::parse(config.as_object().unwrap()).unwrap().model;
        let model = CausalLm::init(&shape, &Device::flex());
        let (_folder, checkpoint) = opened(&config, &tensors(&model));
        let read = CausalLm::load(&checkpoint, &Device::flex(), DType::F32)
            .unwrap_or_else(|error| panic!("{config}: {error}"));
        assert_eq!(logits(&read), logits(&model), "{config}");
        assert_eq!(read.parameters(), checkpoint.parameters(), "{config}");
    }
}

#[test]
fn a_tensor_too_few_too_many_or_of_another_shape_is_named() {
    for config in variants() {
        let shape = config::parse(config.as_object().unwrap()).unwrap().model;
        let whole = tensors(&CausalLm::init(&shape, &Device::flex()));
        let refused = |tensors: &tiny::Tensors, name: &str, what: &str| {
            let (_folder, checkpoint) = opened(&config, tensors);
            let error = CausalLm::verify(&checkpoint).err();
            let error = error
                .unwrap_or_else(|| panic!("{config}: {what} {name} was accepted"))
                .to_string();
            assert!(
                error.contains(&format!("tensor `{name}`")),
                "{config}: {what} {name}: {error}"
            );
        };
        for (name, (dims, values)) in &whole {
            let mut fewer = whole.clone();
            fewer.remove(name);
            refused(&fewer, name, "without");
            let mut other = whole.clone();
            let mut larger = dims.clone();
            larger[0] += 1;
            let mut more = values.clone();
            more.extend(vec![0.0; larger.iter().product::<usize>() - values.len()]);
            other.insert(name.clone(), (larger, more));
            refused(&other, name, "another shape of");
        }
        let mut more = whole.clone();
        let extra = format!("{}x.weight", whole.keys().next_back().unwrap());
        more.insert(extra.clone(), (vec![2], vec![0.0; 2]));
        refused(&more, &extra, "with");
    }
}
