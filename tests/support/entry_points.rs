//! Where bytes of others come in, one function for each kind: what `fuzz/` and `tests/fuzzed.rs` call. None may panic,
//! take memory or time out of proportion, or believe what makes no sense.
#![allow(dead_code, reason = "each program uses a part")]

use std::path::Path;

use igsite::checkpoint::{Checkpoint, config, gguf};
use igsite::content::yaml;
use igsite::plan::kept::StoredPlan;
use igsite::store::parts;

/// A config that fits nothing in particular.
const CONFIG: &str = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 8, "hidden_size": 4,
  "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "torch_dtype": "float32"}"#;

/// The weights of a checkpoint, in a file of this name.
fn weights(name: &str, bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), CONFIG).unwrap();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    _ = Checkpoint::open(folder.path());
}

/// A safetensors file.
pub fn safetensors(bytes: &[u8]) {
    weights("model.safetensors", bytes);
}

/// A PyTorch file: a zip archive or the older form, with its pickle.
pub fn pickle(bytes: &[u8]) {
    weights("pytorch_model.bin", bytes);
}

/// A GGUF file.
pub fn gguf(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    _ = gguf::read(&path);
    _ = Checkpoint::open(&path);
}

/// A `config.json`.
pub fn config(bytes: &[u8]) {
    if let Ok(serde_json::Value::Object(map)) = serde_json::from_slice(bytes) {
        _ = config::parse(&map);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, bytes).unwrap();
    _ = config::read(&path);
}

/// A YAML file of an author.
pub fn yaml(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        _ = yaml::parse(Path::new("fuzzed.yaml"), text, 1);
    }
}

/// A part of the record store, as each kind; those that are believed.
pub fn part(bytes: &[u8]) -> Vec<parts::PartName> {
    parts::KINDS
        .iter()
        .filter_map(|kind| parts::believed(kind, bytes).ok())
        .collect()
}

/// A kept plan.
pub fn plan(bytes: &[u8]) {
    _ = StoredPlan::read(&String::from_utf8_lossy(bytes));
}
