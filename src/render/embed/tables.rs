//! The tables that shortcodes show: of models, samples, segments, options, and of right against predicted options.

use indexmap::IndexMap;
use serde::Serialize;

use super::Embeds;
use super::names::What;
use super::views::experiment;
use crate::analysis::results::{Label, Results};
use crate::analysis::scale::Scale;
use crate::analysis::summary::{self, Mean, ModelSummary, Share};
use crate::render::pages::Link;
use crate::render::text::excerpt;
use crate::site::urls;

/// Mean shares by name.
type Means = IndexMap<String, Mean>;

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
    kind: Kind,
    /// The filter that writes its numbers.
    written: Option<&'static str>,
    /// What stands where a number is not known.
    unknown: &'static str,
}

/// What the cells of a column are.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Text,
    Number,
    Share,
    Answer,
    /// A number of cases in a matrix.
    Cases,
}

#[derive(Serialize)]
struct Row {
    title: String,
    href: Option<String>,
    /// A line under the title.
    note: String,
    cells: Vec<Cell>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Cell {
    Text(Option<String>),
    Number(Option<f64>),
    Interval(Option<(f64, f64)>),
    Share(Share),
    Answer {
        answer: String,
        probability: Option<f64>,
        correct: Option<bool>,
    },
    Cases {
        count: usize,
        /// From 0 to 20.
        shade: i32,
        /// Whether the answer is the right one.
        right: bool,
    },
}

fn column(title: &str, kind: Kind, written: Option<&'static str>) -> Column {
    Column {
        title: title.to_owned(),
        kind,
        written,
        unknown: "–",
    }
}

fn numbers(title: &str, written: &'static str) -> Column {
    column(title, Kind::Number, Some(written))
}

/// The options that the prompt has lines for.
fn options(results: &Results<'_>) -> Vec<Label> {
    let mut options = results.options();
    options.retain(|option| {
        let mut shares = results.option_shares.iter();
        shares.any(|shares| shares.contains_key(&option.letter))
    });
    options
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
            let names: Vec<(&str, &str)> = results.segment_names().into_iter().map(|name| (name, name)).collect();
            shares(embeds, results, about, &results.segment_shares, &names)
        }
        What::OptionTable => {
            let about = "Mean share of |word score| that lies on the line of each option";
            let options = options(results);
            let names = options
                .iter()
                .map(|option| (option.letter.as_str(), option.label.as_str()));
            let names: Vec<(&str, &str)> = names.collect();
            shares(embeds, results, about, &results.option_shares, &names)
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
    let row = |(model, numbers): (usize, &ModelSummary)| {
        let cells = vec![
            Cell::Share(numbers.accuracy),
            Cell::Interval(numbers.accuracy.wilson()),
            Cell::Number(numbers.right_probability.value()),
            Cell::Share(numbers.converged),
            Cell::Number(numbers.median_error),
        ];
        model_row(embeds, results, model, cells)
    };
    let columns = vec![
        column("Model", Kind::Text, None),
        column("Accuracy", Kind::Share, None),
        numbers("95% interval", "interval"),
        numbers("Probability of the right option", "percent"),
        column("Maps numerically exact", Kind::Share, None),
        Column {
            unknown: "unknown",
            ..numbers("Median error estimate", "percent")
        },
    ];
    (
        "Right answers and quality of the maps".to_owned(),
        columns,
        results.summaries.iter().enumerate().map(row).collect(),
    )
}

/// A share of each model for each name; names come with their titles.
fn shares(embeds: &Embeds<'_>, results: &Results<'_>, about: &str, shares: &[Means], names: &[(&str, &str)]) -> Table {
    let row = |(model, means): (usize, &Means)| {
        let value = |name: &str| means.get(name).and_then(|mean| mean.value());
        let cells = names.iter().map(|(name, _)| Cell::Number(value(name))).collect();
        model_row(embeds, results, model, cells)
    };
    let mut columns = vec![column("Model", Kind::Text, None)];
    columns.extend(names.iter().map(|(_, title)| numbers(title, "percent")));
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
            cells.push(Cell::Text(gold.map(|gold| results.option_label(gold))));
        }
        cells.extend(results.records_of(sample).map(|record| Cell::Answer {
            answer: excerpt(summary::answer_text(record), 12),
            probability: summary::answer_probability(record),
            correct: record.correct,
        }));
        cells.push(Cell::Number(results.samples[sample].mean_spearman()));
        Row {
            title: results.sample_title(sample),
            href: Some(embeds.links.to(&urls::sample(&experiment.id, results.slug(sample)))),
            note: results.samples[sample].subject.clone(),
            cells,
        }
    };
    let shown = results.samples.len().min(first);
    let mut columns = vec![column("Sample", Kind::Text, None)];
    if has_gold {
        columns.push(column("Right option", Kind::Text, None));
    }
    columns.extend(results.models.iter().map(|model| column(model, Kind::Answer, None)));
    columns.push(numbers("Mean agreement of the maps", "correlation"));
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
    let options = results.options();
    let letters: Vec<&str> = options.iter().map(|option| option.letter.as_str()).collect();
    let counts = summary::confusion(&letters, &results.source.records[model]);
    let most = counts.iter().flatten().copied().max().unwrap_or(0);
    let scale = Scale { max: most as f64 };
    let row = |(gold, counts): (usize, &Vec<usize>)| {
        let cell = |(given, &count): (usize, &usize)| Cell::Cases {
            count,
            shade: scale.shade(count as f64),
            right: gold == given,
        };
        Row {
            title: options[gold].label.clone(),
            href: None,
            note: String::new(),
            cells: counts.iter().enumerate().map(cell).collect(),
        }
    };
    let mut columns = vec![column("Right", Kind::Text, None)];
    let given = letters.iter().copied().chain(["other"]);
    columns.extend(given.map(|letter| column(letter, Kind::Cases, None)));
    (
        format!(
            "{}: right option down, predicted option across; right answers are outlined",
            results.models[model]
        ),
        columns,
        counts.iter().enumerate().map(row).collect(),
    )
}
