//! What several test programs share.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::Path;

#[allow(unused_imports, reason = "each test program uses a part")]
pub use needs::shared;

/// A JSON file.
pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub mod cases;
pub mod families;
pub mod gguf;
pub mod hub_server;
pub mod needs;
pub mod numbers;
pub mod parquet_file;
pub mod processors;
pub mod project;
pub mod records;
pub mod shared_out;
pub mod slurm;
pub mod tiny;
pub mod torch_file;
pub mod tried;
pub mod truth;
pub mod web;

/// Writes GGUF files, as the library's own tests do.
#[path = "../../src/checkpoint/gguf/writer.rs"]
pub mod writer;
