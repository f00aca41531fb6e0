//! Plots: drawn at build time by the plotters crate as inline SVG, each with what it says in words and its numbers
//! beside it.
//!
//! A plot is a [`Sheet`] with axes, drawn on with a pen; [`canvas`] makes classes of its colours, so that the style
//! sheet decides how it looks. Here are numbers and words in, text out: which numbers, the pages know. The tiny
//! drawings within tables are [`crate::render::chart`]'s.

pub mod axis;
pub mod canvas;
mod convergence;
mod curves;
mod matrix;
mod rows;
mod scatter;
mod shares;
pub mod sheet;

pub use convergence::{convergence, convergence_keys};
pub use curves::{curves, curves_keys};
pub use matrix::{Cell, have_room, matrix};
pub use rows::{Beside, Interval, accuracy, beside, stacked};
pub use scatter::{Spent, cost, score_against_error, words};
pub use shares::{calibration, option_probabilities};

use serde::Serialize;

use canvas::Ink;
use sheet::Sheet;

/// A plot with its words and numbers, for `figure.html`.
#[derive(Clone, Serialize)]
pub struct Figure {
    /// The name of the plot's files when they are saved, which is unique on its page.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// A note for the reader.
    pub note: String,
    /// The drawing.
    pub svg: String,
    /// Signs, and what they mean.
    pub keys: Vec<(String, String)>,
    /// The numbers; none where a table next to the figure has them.
    pub table: Option<Table>,
}

/// The numbers of a plot.
#[derive(Clone, Serialize)]
pub struct Table {
    /// What they are.
    pub caption: String,
    /// The columns; the first one names its row.
    pub columns: Vec<Column>,
    /// A line each, as long as there are columns.
    pub rows: Vec<Vec<Entry>>,
}

/// A column of a table.
#[derive(Clone, Serialize)]
pub struct Column {
    /// Its heading.
    pub title: String,
    /// The filter that writes its numbers (`render/filters.rs`); none where they stand as they are.
    pub written: Option<&'static str>,
}

impl Column {
    /// A column of numbers that a filter writes.
    pub fn of(title: impl Into<String>, written: &'static str) -> Self {
        Self {
            title: title.into(),
            written: Some(written),
        }
    }

    /// A column of texts and counts.
    pub fn plain(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            written: None,
        }
    }
}

/// What a table has in one place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Entry {
    /// A text.
    Text(String),
    /// A number of things.
    Count(usize),
    /// A number, if it is known.
    Number(Option<f64>),
    /// An interval, if it is known.
    Interval(Option<(f64, f64)>),
}

impl From<&str> for Entry {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<usize> for Entry {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl From<Option<f64>> for Entry {
    fn from(number: Option<f64>) -> Self {
        Self::Number(number)
    }
}

impl From<Option<(f64, f64)>> for Entry {
    fn from(interval: Option<(f64, f64)>) -> Self {
        Self::Interval(interval)
    }
}

/// The key of a series that is marked.
pub fn mark_key(series: u8) -> String {
    Sheet::key(|pen| pen.mark(series, (14.0, 6.0)))
}

/// The key of a series of dots.
pub fn dot_key(series: u8) -> String {
    Sheet::key(|pen| pen.dot(series, (14.0, 6.0)))
}

/// The key of a line to hold the data against.
pub fn bound_key() -> String {
    Sheet::key(|pen| pen.line(Ink::Bound, [(0.0, 6.0), (28.0, 6.0)]))
}

/// The key of a part of a whole, or of what stands behind the data.
pub fn area_key(ink: Ink) -> String {
    Sheet::key(|pen| pen.area(ink, (6.0, 0.0), (22.0, 12.0)))
}

/// A name, short enough for a row of a plot.
fn short(name: &str) -> String {
    crate::render::text::excerpt(name, 34)
}
