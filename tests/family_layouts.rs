//! Every family's checkpoint, as its table of names has it: what is written is read back as the same model, and a
//! tensor too few, too many or of another shape is an error that names it.
mod support;

use burn::tensor::{DType, Device};
use igsite::checkpoint::{Checkpoint, config};
use igsite::families::FAMILIES;
use igsite::model::CausalLm;
use serde_json::{Value, json};
use support::families::{config_of, config_with, logits, tensors, with_other_tensors};
use support::tiny;

/// Every family, and variants that have other tensors.
fn variants() -> Vec<Value> {
    let families = FAMILIES.iter().map(|family| config_of(family.types[0]));
    let others = [
        (
            "falcon",
            json!({"multi_query": false, "parallel_attn": false, "bias": true}),
        ),
        (
            "falcon",
            json!({"alibi": true, "multi_query": false, "parallel_attn": false, "bias": true}),
        ),
        ("qwen3_moe", json!({"mlp_only_layers": [1]})),
        (
            "gpt_neox",
            json!({"use_parallel_residual": false, "attention_bias": false}),
        ),
    ];
    let others = others.into_iter().map(|(family, more)| config_with(family, more));
    families.chain(with_other_tensors()).chain(others).collect()
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
