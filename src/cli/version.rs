//! What this igsite is: version, features, instruction set, Burn, target.

use std::fmt;
use std::sync::OnceLock;

use serde::Serialize;

use crate::kernel;
use crate::model::device::{BURN, CUBECL};

/// What this igsite is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// Its version.
    pub version: &'static str,
    /// What it was built with: `cpu`, and the features `cuda`, `gpu` (Vulkan and Metal) and `autotune` of the crate.
    pub features: Vec<&'static str>,
    /// The instruction set that it found here and uses.
    pub instructions: &'static str,
    /// Burn's version.
    pub burn: &'static str,
    /// The version of CubeCL, which makes the kernels of GPUs; none in a build without them.
    pub cubecl: Option<&'static str>,
    /// What it was compiled for, as Rust calls it.
    pub target: &'static str,
}

impl About {
    /// This one.
    pub fn this() -> Self {
        let gpus = cfg!(any(feature = "cuda", feature = "gpu"));
        let all = [
            ("cpu", true),
            ("cuda", cfg!(feature = "cuda")),
            ("gpu", cfg!(feature = "gpu")),
            ("autotune", cfg!(feature = "autotune")),
        ];
        Self {
            version: env!("CARGO_PKG_VERSION"),
            features: all.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect(),
            instructions: kernel::instructions(),
            burn: BURN,
            cubecl: gpus.then_some(CUBECL),
            target: env!("IGSITE_TARGET"),
        }
    }
}

/// `0.1.0 (cpu; AVX-512; Burn 0.22.1; x86_64-unknown-linux-gnu)`
impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let features = self.features.join(" ");
        let cubecl = self
            .cubecl
            .map_or_else(String::new, |version| format!(", CubeCL {version}"));
        write!(
            f,
            "{} ({features}; {}; Burn {}{cubecl}; {})",
            self.version, self.instructions, self.burn, self.target
        )
    }
}

/// What `--version` prints behind the name; `-V` prints the number alone.
pub(super) fn line() -> &'static str {
    static LINE: OnceLock<String> = OnceLock::new();
    LINE.get_or_init(|| About::this().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_it_all() {
        let about = About {
            version: "1.2.3",
            features: vec!["cpu", "cuda"],
            instructions: "AVX2",
            burn: "0.22.1",
            cubecl: Some("0.11.3"),
            target: "x86_64-unknown-linux-gnu",
        };
        assert_eq!(
            about.to_string(),
            "1.2.3 (cpu cuda; AVX2; Burn 0.22.1, CubeCL 0.11.3; x86_64-unknown-linux-gnu)"
        );
        assert!(About::this().target.contains(std::env::consts::ARCH));
    }
}
