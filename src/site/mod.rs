//! The finished site on disk: where pages lie, how they link, and how they get into the output folder.

pub mod links;
pub mod output;
pub mod publish;
mod trace;
pub mod urls;

pub use trace::{MOST_REPORTED, all as blamed};

/// A file of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// Relative to the site's root, forward slashes.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}
