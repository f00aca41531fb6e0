//! A model file: which checkpoint, how it is computed.

use std::path::PathBuf;

/// A resolved `content/models/<id>.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// The file's stem.
    pub id: String,
    /// The YAML file, relative to the project's root.
    pub path: PathBuf,
    /// Title for people; the id where the YAML gives none.
    pub title: String,
    /// Markdown; may be empty.
    pub description: String,
    /// Where the checkpoint is.
    pub source: ModelSource,
    /// The `source` as written, for records and pages.
    pub source_text: String,
    /// Of the hub repository; `main` unless given.
    pub revision: String,
    /// What it computes in.
    pub dtype: DtypeSpec,
}

/// Where a checkpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A repository of the Hugging Face hub, `owner/name`.
    Hub(String),
    /// A folder (absolute, or relative to the working directory, ready to open).
    Folder(PathBuf),
}

/// What a model computes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DtypeSpec {
    /// As stored; float32 on the CPU.
    #[default]
    Auto,
    /// float32
    F32,
    /// float16
    F16,
    /// bfloat16
    Bf16,
}
