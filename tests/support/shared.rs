//! Where references lie that are not part of the project.

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
