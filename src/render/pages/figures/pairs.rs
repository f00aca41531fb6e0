//! Figures about pairs of models: a measure of every two, as means over the samples.

use super::{SERIES, row};
use crate::analysis::pairs::{every_two, is_weighted, mean_of};
use crate::analysis::results::Results;
use crate::render::plot::{self, Cell, Entry, Figure, Table};
use crate::render::text::{correlation, or_dash, percent};

/// The headline of all pairs: Spearman, weighted where the errors are known.
pub fn agreement(results: &Results<'_>) -> Figure {
    let weighted = if is_weighted(results) {
        ", weighted by error"
    } else {
        ""
    };
    let mut figure = matrix(
        results,
        "agreement",
        "Do the maps agree?",
        |a, b| mean_of(results, (a, b), |agreement| agreement.leading().spearman).value(),
        "correlation",
    );
    figure.note = format!(
        "Rank correlation of word scores (Spearman{weighted}), mean over the samples. +1: the same order of words; 0: unrelated."
    );
    figure
}

/// A measure of every two models as a plot and a table; `written` is the filter that writes it: `correlation` or
/// `percent`.
pub fn matrix(
    results: &Results<'_>,
    name: &str,
    title: &str,
    value: impl Fn(usize, usize) -> Option<f64>,
    written: &'static str,
) -> Figure {
    let text = match written {
        "percent" => percent,
        _ => correlation,
    };
    let count = results.models.len();
    let values: Vec<Vec<Option<f64>>> = (0..count)
        .map(|a| (0..count).map(|b| if a == b { None } else { value(a, b) }).collect())
        .collect();
    let told: Vec<String> = every_two(count)
        .filter_map(|(a, b)| {
            Some(format!(
                "{} and {} {}",
                results.models[a],
                results.models[b],
                text(values[a][b]?)
            ))
        })
        .collect();
    let label = |a: usize, b: usize| {
        if a == b {
            "·".to_owned()
        } else {
            or_dash(values[a][b].map(text))
        }
    };
    let cells: Vec<Vec<Cell>> = (0..count)
        .map(|a| {
            let cell = |b: usize| Cell {
                text: if count <= SERIES { label(a, b) } else { String::new() },
                shade: values[a][b].map_or(0, |value| (value * 20.0).round() as i32),
                right: false,
            };
            (0..count).map(cell).collect()
        })
        .collect();
    let entry = |a: usize, b: usize| -> Entry {
        match a == b {
            true => "·".into(),
            false => values[a][b].into(),
        }
    };
    // Below each other whole names have room; side by side short ones, if not too many, and else numbers.
    let short = &results.short_models;
    let is_named = plot::have_room(&results.models, short);
    let (rows, columns): (Vec<String>, Vec<String>) = if is_named {
        (results.models.clone(), short.clone())
    } else {
        let named = results.models.iter().enumerate();
        (
            named.map(|(index, name)| format!("{} {name}", index + 1)).collect(),
            (1..=count).map(|index| index.to_string()).collect(),
        )
    };
    // Of many pairs the words would be a recital; the table has them all.
    let told = if told.len() > 15 {
        format!("{title}, for every two of {count} models; the table has the numbers.")
    } else {
        format!(
            "{title}{} {}.",
            if title.ends_with('?') { "" } else { ":" },
            told.join("; ")
        )
    };
    Figure {
        name: name.to_owned(),
        title: title.to_owned(),
        note: String::new(),
        svg: plot::matrix(&rows, &columns, &cells, "", &told),
        keys: Vec::new(),
        table: Some(Table {
            caption: format!("{title}, every two models"),
            columns: super::columns("Model", results.models.iter().map(String::as_str), written),
            rows: (0..count)
                .map(|a| row(&results.models[a], (0..count).map(|b| entry(a, b))))
                .collect(),
        }),
    }
}
