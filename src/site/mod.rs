//! The finished site on disk: where pages lie, how they link, and how they get into the output folder.

mod blame;
pub mod links;
pub mod output;
pub mod publish;
pub mod urls;

pub use blame::{TOLD, all as blamed};

/// A file of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// Relative to the site's root, forward slashes.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}
