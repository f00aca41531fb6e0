//! What several test programs share.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};

/// The folder of references that is not part of the project, or none with a printed reason.
pub fn shared(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("IGSITE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let path = root.join(part);
    if path.exists() {
        Some(path)
    } else {
        #[allow(clippy::print_stdout, reason = "the reason for a skipped test")]
        {
            println!(
                "skipped: {} is not here (set IGSITE_SHARED to the folder that holds {part})",
                path.display()
            );
        }
        None
    }
}

/// A JSON file.
pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub mod numbers;
pub mod project;
pub mod tiny;
