//! A checkpoint in a folder of its own, opened and computed with, without a project around it.

use std::path::Path;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use igsite::checkpoint::Checkpoint;
use igsite::diagnostic::Diagnostic;
use igsite::model::CausalLm;
use serde_json::Value;
use tempfile::TempDir;

use super::tiny::{self, Tensors};

/// What came of a checkpoint.
pub struct Tried {
    /// Logits at the end of [`PROMPT`].
    pub logits: Vec<f32>,
    /// What was warned of.
    pub warnings: Vec<String>,
}

/// Token ids of a prompt that is longer than a small window.
pub const PROMPT: [i64; 12] = [1, 300, 270, 280, 290, 301, 302, 303, 264, 275, 286, 297];

/// A folder with a config.
pub fn folder(config: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

/// A folder with a config and one safetensors file.
pub fn checkpoint(config: &Value, tensors: &Tensors) -> TempDir {
    let folder = folder(config);
    tiny::write_safetensors(&folder.path().join("model.safetensors"), tensors);
    folder
}

/// Checks a checkpoint as `igsite check` does, loads it and computes the logits.
pub fn logits_of(folder: &Path, ids: &[i64]) -> Result<Tried, Diagnostic> {
    let checkpoint = Checkpoint::open(folder)?;
    CausalLm::verify(&checkpoint)?;
    let device = Device::flex();
    let model = CausalLm::load(&checkpoint, &device, DType::F32)?;
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids.to_vec(), [1, ids.len()]), &device);
    Ok(Tried {
        logits: model.last_logits(model.embed(ids)).into_data().try_to_vec().unwrap(),
        warnings: checkpoint.warnings.iter().map(ToString::to_string).collect(),
    })
}

/// As [`logits_of`], for a prompt of twelve tokens and a checkpoint that is right.
pub fn tried(folder: &Path) -> Tried {
    logits_of(folder, &PROMPT).unwrap_or_else(|error| panic!("{error}"))
}

/// Whether two results are the same numbers.
pub fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + b.abs()))
}
