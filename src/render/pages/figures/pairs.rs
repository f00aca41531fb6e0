//! Models against each other: a measure of every two, as means over the samples.

use super::SERIES;
use crate::analysis::agreement::{Agreement, Measures};
use crate::analysis::results::Results;
use crate::analysis::summary::Mean;
use crate::render::pages::or_dash;
use crate::render::plot::{self, Cell, Figure, Table};
use crate::render::text::correlation;

/// The mean of a measure of two models over the samples.
pub fn mean_of(results: &Results<'_>, (a, b): (usize, usize), of: impl Fn(&Agreement) -> Option<f64>) -> Mean {
    let mut mean = Mean::default();
    for sample in &results.samples {
        for (first, second, agreement) in &sample.agreements {
            if (*first, *second) == (a.min(b), a.max(b)) {
                mean.add(of(agreement));
            }
        }
    }
    mean
}

/// Whether the errors of the maps are known, so that measures are weighted by them.
pub fn is_weighted(results: &Results<'_>) -> bool {
    results
        .samples
        .iter()
        .flat_map(|sample| &sample.agreements)
        .any(|(.., agreement)| agreement.certain.is_some())
}

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
        correlation,
    );
    figure.note = format!(
        "Rank correlation of word scores (Spearman{weighted}), mean over the samples. +1: the same order of words; 0: unrelated."
    );
    figure
}

/// A measure of every two models as a plot and a table.
pub fn matrix(
    results: &Results<'_>,
    name: &str,
    title: &str,
    value: impl Fn(usize, usize) -> Option<f64>,
    text: fn(f64) -> String,
) -> Figure {
    let count = results.models.len();
    let values: Vec<Vec<Option<f64>>> = (0..count)
        .map(|a| (0..count).map(|b| if a == b { None } else { value(a, b) }).collect())
        .collect();
    let told: Vec<String> = (0..count)
        .flat_map(|a| (a + 1..count).map(move |b| (a, b)))
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
    let rows: Vec<String> = results
        .models
        .iter()
        .enumerate()
        .map(|(index, name)| format!("{} {name}", index + 1))
        .collect();
    let columns: Vec<String> = (1..=count).map(|index| index.to_string()).collect();
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
            head: [String::from("Model")]
                .into_iter()
                .chain(results.models.iter().cloned())
                .collect(),
            rows: (0..count)
                .map(|a| {
                    [results.models[a].clone()]
                        .into_iter()
                        .chain((0..count).map(|b| label(a, b)))
                        .collect()
                })
                .collect(),
        }),
    }
}

/// The three measures of two models, means over the samples: weighted where errors are known, and plain.
pub fn measures(results: &Results<'_>, pair: (usize, usize), of: fn(&Measures) -> Option<f64>) -> (Mean, Mean) {
    (
        mean_of(results, pair, |agreement| of(&agreement.leading())),
        mean_of(results, pair, |agreement| of(&agreement.plain())),
    )
}
