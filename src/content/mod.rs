//! What the author wrote, from raw files to resolved values, once; nothing later checks it again.
//!
//! All errors of a run are collected in [`crate::diagnostic::Diagnostics`] with file, line and column.

pub mod dataset;
pub mod experiment;
pub mod model;
pub mod page;
pub mod project;
pub mod prompt;
