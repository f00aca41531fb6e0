//! What some tests need that is not part of the project, and the one place where such a test skips.
//!
//! A test whose need is missing prints `skipped: …` and passes. `IGSITE_REQUIRE` names what must be there
//! (`shared,browser,node,java,slurm,vulkan,qemu`, any of them): a test that misses one of those fails. `.ci/run` sets it to
//! what the machine has. The unit tests of the library use this file too, so it knows nothing of the crate.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};

/// What a test may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The folder of references: `IGSITE_SHARED`, or `../shared`.
    Shared,
    /// Chromium.
    Browser,
    /// Node, and the packages of `tests/web`.
    Node,
    /// Java, for the Nu HTML checker.
    Java,
    /// Slurm's daemons and commands, and the right to start them.
    Slurm,
    /// A device of Vulkan, hardware or Mesa's software, and a build with the feature `gpu`.
    Vulkan,
    /// qemu-user, which runs a program as on a processor with fewer instructions; this machine's is x86-64.
    Qemu,
}

/// The variable that says what must be there.
pub const VARIABLE: &str = "IGSITE_REQUIRE";

const WORDS: [(&str, Need); 7] = [
    ("shared", Need::Shared),
    ("browser", Need::Browser),
    ("node", Need::Node),
    ("java", Need::Java),
    ("slurm", Need::Slurm),
    ("vulkan", Need::Vulkan),
    ("qemu", Need::Qemu),
];

/// The needs that a value of `IGSITE_REQUIRE` names.
pub fn required(value: &str) -> Result<Vec<Need>, String> {
    let words = value.split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let found = WORDS.iter().find(|(known, _)| *known == word);
            found.map(|&(_, need)| need).ok_or_else(|| {
                let known = WORDS.map(|(word, _)| word).join(", ");
                format!("{VARIABLE} has the unknown word {word:?}; it takes {known}, with commas between them")
            })
        })
        .collect()
}

/// Whether a missing need is to fail.
fn must_be_there(need: Need) -> bool {
    let value = match std::env::var(VARIABLE) {
        Ok(value) => value,
        Err(std::env::VarError::NotPresent) => String::new(),
        Err(error) => panic!("{VARIABLE}: {error}"),
    };
    required(&value)
        .unwrap_or_else(|error| panic!("{error}"))
        .contains(&need)
}

/// Gives what was found of a need. Where nothing was, it prints why, and the test is to end; but if `IGSITE_REQUIRE`
/// names the need, the test fails.
pub fn found_or_skip<T>(need: Need, found: Option<T>, why: impl FnOnce() -> String) -> Option<T> {
    // Before anything else: a wrong value of the variable is an error wherever a test could skip.
    let required = must_be_there(need);
    if found.is_none() {
        let why = why();
        assert!(!required, "{why}, and {VARIABLE} requires it ({need:?})");
        #[allow(clippy::print_stdout, reason = "the reason for a skipped test")]
        {
            println!("skipped: {why}");
        }
    }
    found
}

/// A file or folder of the references, or none with a printed reason.
pub fn shared(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("IGSITE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let path = root.join(part);
    let found = path.exists().then(|| path.clone());
    found_or_skip(Need::Shared, found, || {
        format!(
            "{} is not here (set IGSITE_SHARED to the folder that holds {part})",
            path.display()
        )
    })
}
