//! What the demo's writers write, the engine reads back: every format, number type and number of shards.

#[path = "../examples/train_demo/write.rs"]
mod write;

use burn::tensor::{DType, Device};
use igsite::checkpoint::Checkpoint;
use igsite::model::CausalLm;
use serde_json::json;

use write::{Format, NamedTensor, Stored};

fn tensors(model: &CausalLm) -> Vec<NamedTensor> {
    let named = model.named_parameters().into_iter().map(|(name, parameter)| {
        let data = parameter.into_data();
        NamedTensor {
            name,
            shape: data.shape().to_vec(),
            values: data.try_to_vec().unwrap(),
        }
    });
    named.collect()
}

#[test]
fn what_is_written_is_read_back() {
    let device = Device::flex();
    for (format, single) in [
        (Format::Safetensors, "model.safetensors"),
        (Format::PyTorch, "pytorch_model.bin"),
    ] {
        for (stored, tolerance) in [(Stored::F32, 0.0), (Stored::F16, 1e-3), (Stored::Bf16, 1e-2)] {
            for shards in [1, 3] {
                let folder = tempfile::tempdir().unwrap();
                let config = json!({
                    "architectures": ["LlamaForCausalLM"], "vocab_size": 300, "hidden_size": 8, "intermediate_size": 12,
                    "num_hidden_layers": 2, "num_attention_heads": 2, "torch_dtype": stored.torch_dtype(),
                });
                write::write_json(&folder.path().join("config.json"), &config).unwrap();
                let config = igsite::checkpoint::config::read(&folder.path().join("config.json")).unwrap();
                let written = tensors(&CausalLm::init(&config.model, &device));
                write::write_weights(folder.path(), &written, stored, format, shards).unwrap();
                assert_eq!(folder.path().join(single).exists(), shards == 1);

                let checkpoint = Checkpoint::open(folder.path()).unwrap();
                assert_eq!(checkpoint.files.len(), shards);
                let read = tensors(&CausalLm::load(&checkpoint, &device, DType::F32).unwrap());
                assert_eq!(read.len(), written.len());
                for (read, written) in read.iter().zip(&written) {
                    assert_eq!((&read.name, &read.shape), (&written.name, &written.shape));
                    for (a, b) in read.values.iter().zip(&written.values) {
                        assert!(
                            (a - b).abs() <= tolerance * b.abs().max(1e-4),
                            "{format:?} {stored:?}: {a} for {b}"
                        );
                    }
                }
            }
        }
    }
}
