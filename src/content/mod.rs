//! What the author wrote, from raw files to resolved values, once; nothing later checks it again.
//!
//! All errors of a run are collected in [`crate::diagnostic::Diagnostics`] with file, line and column. The way of a
//! file: text ([`files`]) → located tree ([`yaml`]) → typed values ([`decode`]) → a resolved
//! [`experiment::Experiment`],
//! [`model::ModelSpec`] or [`page::Page`], which [`project`] gathers. Nothing here runs or opens a model.

pub mod book;
pub mod dataset;
pub mod decode;
pub mod experiment;
pub mod files;
pub mod imports;
pub mod model;
pub mod names;
pub mod one_prompt;
pub mod page;
pub mod project;
pub mod prompt;
pub mod subject;
pub mod templating;
pub mod units;
pub mod yaml;

#[cfg(test)]
mod liar_tests;

pub use names::{slug, slugs};
