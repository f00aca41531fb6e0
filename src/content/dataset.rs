//! Data sets: rows from a file, the hub, the LIAR folder or the experiment itself, and the choice of samples among
//! them.
//!
//! A row is what the file says and no more: CSV cells are text, JSON values keep their type, and a number keeps its
//! text.

mod delimited;
mod hub;
mod json;
mod layout;
mod liar;
mod liar_hub;
#[cfg(test)]
pub mod local_repositories;
mod parquet;
mod rows;
mod select;
mod source;

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::prompt::Prompt;
use crate::diagnostic::{Diagnostic, Diagnostics, Position};

pub use hub::{Repositories, Repository};
pub(super) use json::broken;
#[cfg(test)]
pub use parquet::tests::file;
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
    /// Columns of the files that hold bytes and no text, and are not among `columns`.
    pub left_out: Vec<String>,
    /// Whether its cells are text alone, so that an empty one may stand for none.
    pub cells_are_text: bool,
    /// The repository that the files are from, if they are.
    pub origin: Option<Origin>,
}

/// A data set of the hub, down to the commit: enough to have the same rows again.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Origin {
    /// `owner/name`.
    pub repository: String,
    /// The branch, tag or commit as written.
    pub revision: String,
    /// The commit it stood for.
    pub commit: String,
    /// Which of several data sets in one repository.
    pub config: Option<String>,
    /// Which split; none where all are taken.
    pub split: Option<String>,
}

/// One row of a [`Table`].
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which of the table's files it is from.
    pub file: usize,
    /// Where in that file it begins; none in a file that is no text.
    pub position: Option<Position>,
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
        // Where no line is known, the number has to do.
        let place = match (position, row) {
            (Some(_), _) => format!("row {row}"),
            (None, 0) => "row 0, the first".to_owned(),
            (None, _) => format!("row {row}, counted from 0"),
        };
        let mut error = Diagnostic::content(message).in_file(&self.files[*file]).place(place);
        error.position = *position;
        error
    }

    /// Adds the rows of another table at the end.
    fn append(&mut self, other: Table) {
        let files = self.files.len();
        let mut known = self.columns.iter().cloned().collect();
        self.add_columns(&other.columns, &mut known);
        self.left_out.extend(other.left_out);
        self.cells_are_text |= other.cells_are_text;
        self.files.extend(other.files);
        self.rows.extend(other.rows.into_iter().map(|row| Row {
            file: files + row.file,
            ..row
        }));
    }

    /// Adds the names that are not among `known`, which are the columns so far.
    fn add_columns<'a>(&mut self, names: impl IntoIterator<Item = &'a String>, known: &mut HashSet<String>) {
        for name in names {
            if !known.contains(name) {
                known.insert(name.clone());
                self.columns.push(name.clone());
            }
        }
    }
}

/// The errors of one data file: the first few, and how many there are.
#[derive(Default)]
struct Errors {
    told: Diagnostics,
    count: usize,
}

impl Errors {
    /// At most this many errors of one file are reported: where one line is wrong, all may be.
    const MOST_REPORTED: usize = 10;

    fn push(&mut self, error: Diagnostic) {
        self.count += 1;
        if self.count <= Self::MOST_REPORTED {
            self.told.push(error);
        }
    }

    /// The table, if there are no errors.
    fn or(mut self, table: Table) -> Result<Table, Diagnostics> {
        if self.count == 0 {
            return Ok(table);
        }
        if self.count > Self::MOST_REPORTED {
            let message = format!(
                "this file has {} errors; the first {} are told",
                self.count,
                Self::MOST_REPORTED
            );
            let error = Diagnostic::content(message);
            self.told.push(match table.files.first() {
                Some(file) => error.in_file(file),
                None => error,
            });
        }
        Err(self.told)
    }
}

/// A number that shows as it was written: `1.0` stays `1.0`; one that no float or integer writes back so (`1.50`) is
/// text.
fn number_as_written(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Number(number)) if number.to_string() == text => Value::Number(number),
        _ => Value::String(text.to_owned()),
    }
}

/// LIAR from the hub, for the test that holds it against its own files.
#[cfg(test)]
pub fn read_liar(repositories: &dyn Repositories) -> Result<Table, crate::diagnostic::Diagnostics> {
    liar_hub::read(repositories, None)
}

/// LIAR from its own files.
#[cfg(test)]
pub fn read_liar_folder(folder: &std::path::Path) -> Result<Table, crate::diagnostic::Diagnostics> {
    liar::read(folder, std::path::Path::new(""))
}
