//! Data sets: rows from a file, the LIAR folder or the experiment itself, and the choice of samples among them.
//!
//! A row is what the file says and no more: CSV cells are text, JSON values keep their type, and a number keeps its text.

mod delimited;
mod json;
mod liar;
mod rows;
mod select;
mod source;

use std::borrow::Cow;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::prompt::Prompt;
use crate::diagnostic::{Diagnostic, Position};

pub(super) use select::{Draw, Selector, check_column, choose, ids_of, read_selector};
pub(super) use source::{DataFiles, Source, read_source};

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

/// A data set as read: all rows, each with its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The files it came from, relative to the project's root.
    pub files: Vec<PathBuf>,
    /// The names of all columns, in the order of first sight.
    pub columns: Vec<String>,
    /// The rows, in the order of the files.
    pub rows: Vec<Row>,
}

/// One row of a [`Table`].
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which of the table's files it is from.
    pub file: usize,
    /// Where in that file it begins.
    pub position: Position,
    /// Its cells.
    pub fields: Map<String, Value>,
}

impl Table {
    /// A cell as text, for ids, gold values and `where`; `None` when the row lacks it or it is null.
    pub fn text(&self, row: usize, column: &str) -> Option<Cow<'_, str>> {
        match self.rows[row].fields.get(column)? {
            Value::Null => None,
            Value::String(text) => Some(Cow::Borrowed(text)),
            other => Some(Cow::Owned(other.to_string())),
        }
    }

    /// Whether there is such a column.
    pub fn has_column(&self, column: &str) -> bool {
        self.columns.iter().any(|known| known == column)
    }

    /// An error at a row, to be refined.
    pub fn error(&self, row: usize, message: impl Into<String>) -> Diagnostic {
        let Row { file, position, .. } = &self.rows[row];
        Diagnostic::content(message)
            .in_file(&self.files[*file])
            .at(*position)
            .place(format!("row {row}"))
    }

    fn add_columns<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        for name in names {
            if !self.columns.contains(name) {
                self.columns.push(name.clone());
            }
        }
    }
}

/// A number that shows as it was written: `1.0` stays `1.0`; one that no float or integer writes back so (`1.50`) is text.
fn number_as_written(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Number(number)) if number.to_string() == text => Value::Number(number),
        _ => Value::String(text.to_owned()),
    }
}
