//! Data sets: rows from a file, the LIAR folder or the experiment itself, and the choice of samples among them.

use serde_json::{Map, Value};

use super::prompt::Prompt;

/// One row of a dataset, made into one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The row's value in the `id` column, or `row-N` (N from 0) without one. Any text at all.
    pub id: String,
    /// The id as a file name: `[A-Za-z0-9._-]` only, unique in the experiment whatever the case. See [`super::slug`].
    pub slug: String,
    /// The letter of the right option, if the dataset says.
    pub gold: Option<String>,
    /// All columns of the row, in the dataset's order.
    pub fields: Map<String, Value>,
    /// The rendered prompt.
    pub prompt: Prompt,
}
