//! The tables that shortcodes show: of models, samples, segments, options, and of right against predicted options.

use indexmap::IndexMap;
use serde::Serialize;

use super::Embeds;
use super::names::What;
use super::views::experiment;
use crate::analysis::results::{Results, SPECIAL};
use crate::analysis::scale::Scale;
use crate::analysis::summary::{self, Mean, Share};
use crate::render::pages::Link;
use crate::render::text::{correlation, excerpt, percent};
use crate::site::urls;
use crate::store::record::SampleRecord;

/// Mean shares by name.
pub type Means = IndexMap<String, Mean>;

/// What the template of tables shows.
#[derive(Serialize)]
pub struct TableView<'a> {
    id: String,
    caption: Option<&'a str>,
    experiment: Link,
    /// What the table is.
    about: String,
    columns: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Column {
    title: String,
    numeric: bool,
}

#[derive(Serialize)]
struct Row {
    title: String,
    href: Option<String>,
    /// A line under the title.
    note: String,
    cells: Vec<Cell>,
}

#[derive(Default, Serialize)]
struct Cell {
    text: String,
    note: String,
    class: String,
    numeric: bool,
}

fn text(text: String) -> Cell {
    Cell {
        text,
        ..Cell::default()
    }
}

fn figure(text: String) -> Cell {
    Cell {
        text,
        numeric: true,
        ..Cell::default()
    }
}

fn column(title: &str, numeric: bool) -> Column {
    Column {
        title: title.to_owned(),
        numeric,
    }
}

/// `71.0% (17 of 24)`, or a dash where there is nothing to count.
pub fn share(share: Share) -> String {
    share.value().map_or_else(dash, |value| {
        format!("{} ({} of {})", percent(value), share.count, share.of)
    })
}

/// `right`, `wrong` or nothing.
pub fn verdict(record: &SampleRecord) -> &'static str {
    match record.correct {
        Some(true) => "right",
        Some(false) => "wrong",
        None => "",
    }
}

/// The segments that maps of any model have, special tokens last: each as results name it, and its title.
pub fn segments(results: &Results<'_>) -> Vec<(String, String)> {
    let mut names: Vec<&String> = Vec::new();
    for name in results.segment_shares.iter().flat_map(IndexMap::keys) {
        if name != SPECIAL && !names.contains(&name) {
            names.push(name);
        }
    }
    let special = SPECIAL.to_owned();
    if !names.is_empty() {
        names.push(&special);
    }
    names.into_iter().map(|name| (name.clone(), name.clone())).collect()
}

/// The options that the prompt has lines for: letter and what it stands for.
pub fn options(results: &Results<'_>) -> Vec<(String, String)> {
    let stated = |letter: &str| results.option_shares.iter().any(|shares| shares.contains_key(letter));
    let letters = results.experiment.options.iter().map(|option| option.letter.clone());
    letters
        .filter(|letter| stated(letter))
        .map(|letter| {
            let label = results.option_label(&letter);
            (letter, label)
        })
        .collect()
}

fn dash() -> String {
    "–".to_owned()
}

/// The view of a table; `what` is one.
pub fn view<'a>(
    embeds: &Embeds<'_>,
    results: &Results<'_>,
    what: &What,
    caption: Option<&'a str>,
    id: String,
) -> TableView<'a> {
    let (about, columns, rows) = match what {
        What::Samples(first) => samples(embeds, results, *first),
        What::SegmentTable => {
            let about = "Mean share of |word score| that lies on each segment";
            shares(embeds, results, about, &results.segment_shares, &segments(results))
        }
        What::OptionTable => {
            let about = "Mean share of |word score| that lies on the line of each option";
            shares(embeds, results, about, &results.option_shares, &options(results))
        }
        What::Confusion(model) => confusion(results, *model),
        _ => models(embeds, results),
    };
    TableView {
        id,
        caption,
        experiment: experiment(embeds, results),
        about,
        columns,
        rows,
    }
}

type Table = (String, Vec<Column>, Vec<Row>);

fn model_row(embeds: &Embeds<'_>, results: &Results<'_>, model: usize, cells: Vec<Cell>) -> Row {
    Row {
        title: results.models[model].clone(),
        href: Some(embeds.links.to(&urls::model(&results.experiment.models[model]))),
        note: String::new(),
        cells,
    }
}

fn models(embeds: &Embeds<'_>, results: &Results<'_>) -> Table {
    let row = |(model, numbers): (usize, &summary::ModelSummary)| {
        let interval = numbers.accuracy.wilson();
        let cells = vec![
            figure(share(numbers.accuracy)),
            figure(interval.map_or_else(dash, |(low, high)| format!("{:.0}–{:.0}%", low * 100.0, high * 100.0))),
            figure(numbers.right_probability.value().map_or_else(dash, percent)),
            figure(share(numbers.converged)),
            figure(numbers.median_error().map_or_else(|| "unknown".to_owned(), percent)),
        ];
        model_row(embeds, results, model, cells)
    };
    let columns = [
        ("Model", false),
        ("Accuracy", true),
        ("95% interval", true),
        ("Probability of the right option", true),
        ("Maps converged", true),
        ("Median error estimate", true),
    ];
    (
        "Right answers and quality of the maps".to_owned(),
        columns.map(|(title, numeric)| column(title, numeric)).into(),
        results.summaries.iter().enumerate().map(row).collect(),
    )
}

fn shares(
    embeds: &Embeds<'_>,
    results: &Results<'_>,
    about: &str,
    shares: &[Means],
    names: &[(String, String)],
) -> Table {
    let row = |(model, means): (usize, &Means)| {
        let value = |name: &str| means.get(name).and_then(|mean| mean.value());
        let cells = names
            .iter()
            .map(|(name, _)| figure(value(name).map_or_else(dash, percent)))
            .collect();
        model_row(embeds, results, model, cells)
    };
    let mut columns = vec![column("Model", false)];
    columns.extend(names.iter().map(|(_, title)| column(title, true)));
    let about = if names.is_empty() {
        format!("{about}: there is none")
    } else {
        about.to_owned()
    };
    (about, columns, shares.iter().enumerate().map(row).collect())
}

fn samples(embeds: &Embeds<'_>, results: &Results<'_>, first: usize) -> Table {
    let experiment = results.experiment;
    let has_gold = experiment.samples.iter().any(|sample| sample.gold.is_some());
    let row = |sample: usize| {
        let gold = experiment.samples[sample].gold.as_deref();
        let mut cells = Vec::new();
        if has_gold {
            cells.push(text(gold.map_or_else(dash, |gold| results.option_label(gold))));
        }
        cells.extend(results.records_of(sample).map(|record| Cell {
            text: excerpt(summary::answer(record), 12),
            note: percent(summary::answer_probability(record)),
            class: verdict(record).to_owned(),
            numeric: false,
        }));
        let agreement = results.samples[sample].mean_spearman();
        cells.push(figure(agreement.map_or_else(dash, correlation)));
        Row {
            title: results.sample_title(sample),
            href: Some(embeds.links.to(&urls::sample(&experiment.id, results.slug(sample)))),
            note: results.samples[sample].subject.clone(),
            cells,
        }
    };
    let shown = results.samples.len().min(first);
    let mut columns = vec![column("Sample", false)];
    if has_gold {
        columns.push(column("Right option", false));
    }
    columns.extend(results.models.iter().map(|model| column(model, false)));
    columns.push(column("Mean agreement of the maps", true));
    let about = if shown < results.samples.len() {
        format!(
            "The first {shown} of {} samples, with each model’s answer",
            results.samples.len()
        )
    } else {
        "Every sample, with each model’s answer".to_owned()
    };
    (about, columns, (0..shown).map(row).collect())
}

fn confusion(results: &Results<'_>, model: usize) -> Table {
    let letters: Vec<&str> = results
        .experiment
        .options
        .iter()
        .map(|option| option.letter.as_str())
        .collect();
    let counts = summary::confusion(&letters, &results.source.records[model]);
    let most = counts.iter().flatten().copied().max().unwrap_or(0);
    let scale = Scale { max: most as f64 };
    let row = |(gold, counts): (usize, &Vec<usize>)| {
        let cell = |(given, &count): (usize, &usize)| {
            // Counts have no sign: they use shades of their own.
            let shade = match scale.shade(count as f64) {
                0 => String::new(),
                shade => format!("c{}", (shade + 3) / 4),
            };
            let right = if gold == given { " right-cell" } else { "" };
            Cell {
                class: format!("{shade}{right}").trim().to_owned(),
                ..figure(count.to_string())
            }
        };
        Row {
            title: results.option_label(letters[gold]),
            href: None,
            note: String::new(),
            cells: counts.iter().enumerate().map(cell).collect(),
        }
    };
    let mut columns = vec![column("Right", false)];
    columns.extend(letters.iter().map(|letter| column(letter, true)));
    columns.push(column("other", true));
    (
        format!(
            "{}: right option down, predicted option across; right answers are outlined",
            results.models[model]
        ),
        columns,
        counts.iter().enumerate().map(row).collect(),
    )
}
