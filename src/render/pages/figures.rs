//! The plots of an experiment: its numbers, put into figures with a title, words and a table each.

mod answers;
mod pairs;

pub use answers::{calibration_of, calibrations, confusions};
pub use pairs::{agreement, matrix};

use crate::analysis::results::Results;
use crate::analysis::summary::{self, Mean, Share};
use crate::render::plot::canvas::Ink;
use crate::render::plot::{self, Cell, Column, Entry, Figure, Interval, Spent, Table};
use crate::render::text::{interval, or_dash, percent};

/// The most models whose marks can be distinguished in one plot.
const SERIES: usize = 6;
/// Dots in one cloud, at most.
const DOTS: usize = 1200;

/// What a reader should see first: who is right, where the attribution goes, what is answered, who agrees.
pub fn headline(results: &Results<'_>) -> Vec<Figure> {
    [accuracy(results), segments(results), options(results)]
        .into_iter()
        .flatten()
        .chain((results.models.len() > 1).then(|| pairs::agreement(results)))
        .collect()
}

/// A column that names its row, and one a name whose numbers a filter writes.
fn columns<'n>(first: &str, names: impl IntoIterator<Item = &'n str>, written: &'static str) -> Vec<Column> {
    let others = names.into_iter().map(|name| Column::of(name, written));
    [Column::plain(first)].into_iter().chain(others).collect()
}

/// A row: its name, and its numbers.
fn row(name: &str, numbers: impl IntoIterator<Item = impl Into<Entry>>) -> Vec<Entry> {
    let numbers = numbers.into_iter().map(Into::into);
    [Entry::from(name)].into_iter().chain(numbers).collect()
}

/// Accuracy of every model in one plot.
pub fn accuracy(results: &Results<'_>) -> Option<Figure> {
    let known = results.models.iter().zip(&results.summaries);
    let known: Vec<(&String, Share)> = known
        .map(|(name, summary)| (name, summary.accuracy))
        .filter(|(_, share)| share.of > 0)
        .collect();
    if known.is_empty() {
        return None;
    }
    let told = |share: Share| {
        format!(
            "{}, {} of {}",
            or_dash(share.value().map(percent)),
            share.count,
            share.of
        )
    };
    let rows: Vec<Interval> = known
        .iter()
        .map(|(name, share)| Interval {
            name: (*name).clone(),
            share: share.value(),
            range: share.wilson().unwrap_or_default(),
            text: told(*share),
        })
        .collect();
    let guessing = results.guessing();
    let range = |share: Share| share.wilson().map_or_else(String::new, interval);
    let mut words: Vec<String> = known
        .iter()
        .map(|(name, share)| format!("{name} {} (95% interval {})", told(*share), range(*share)))
        .collect();
    words.extend(guessing.map(|share| format!("guessing {}", percent(share))));
    let mut keys = vec![(plot::mark_key(0), "accuracy, with its 95% interval".to_owned())];
    keys.extend(guessing.map(|share| (plot::bound_key(), format!("guessing, {}", percent(share)))));
    Some(Figure {
        name: "accuracy".to_owned(),
        title: "Right answers".to_owned(),
        note: String::new(),
        svg: plot::accuracy(&rows, guessing, &format!("Accuracy: {}.", words.join("; "))),
        keys,
        table: Some(Table {
            caption: "Right answers of each model, with Wilson’s 95% interval".to_owned(),
            columns: vec![
                Column::plain("Model"),
                Column::plain("Right"),
                Column::plain("Of"),
                Column::of("Accuracy", "percent"),
                Column::of("95% interval", "interval"),
            ],
            rows: known
                .iter()
                .map(|(name, share)| {
                    vec![
                        name.as_str().into(),
                        share.count.into(),
                        share.of.into(),
                        share.value().into(),
                        share.wilson().into(),
                    ]
                })
                .collect(),
        }),
    })
}

/// Where the attribution goes: parts of a whole, a bar a model.
pub fn segments(results: &Results<'_>) -> Option<Figure> {
    let names = results.segment_names();
    if names.is_empty() {
        return None;
    }
    let value = |model: usize, name: &str| results.segment_shares[model].get(name).and_then(|mean| mean.value());
    let rows: Vec<(String, Vec<f64>)> = results
        .models
        .iter()
        .enumerate()
        .map(|(model, title)| {
            (
                title.clone(),
                names.iter().map(|name| value(model, name).unwrap_or(0.0)).collect(),
            )
        })
        .collect();
    let most = |(model, shares): &(String, Vec<f64>)| {
        let (place, share) = shares.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
        Some(format!("{model} most on {} ({})", names[place], percent(*share)))
    };
    let told: Vec<String> = rows.iter().filter_map(most).collect();
    let keys = names.iter().enumerate();
    Some(Figure {
        name: "segments".to_owned(),
        title: "Where the attribution goes".to_owned(),
        note: String::new(),
        svg: plot::stacked(
            &rows,
            "mean share of |word score|",
            &format!("Share of each segment: {}.", told.join("; ")),
        ),
        keys: keys
            .map(|(index, name)| (plot::area_key(Ink::Part(index as u8)), (*name).to_owned()))
            .collect(),
        table: Some(Table {
            caption: "Mean share of |word score| that lies on each segment of the prompt".to_owned(),
            columns: columns("Model", names.iter().copied(), "percent"),
            rows: results
                .models
                .iter()
                .enumerate()
                .map(|(model, title)| row(title, names.iter().map(|name| value(model, name))))
                .collect(),
        }),
    })
}

/// The probability that models give each option, and for comparison how often it is right.
pub fn options(results: &Results<'_>) -> Option<Figure> {
    let letters: Vec<String> = results
        .experiment
        .options
        .iter()
        .map(|option| option.letter.clone())
        .collect();
    let mean = |model: usize, letter: &String| {
        let mut mean = Mean::default();
        for record in &results.source.records[model] {
            mean.add(record.options.get(letter).map(|option| option.probability));
        }
        mean.value()
    };
    let models: Vec<Vec<Option<f64>>> = (0..results.models.len())
        .map(|model| letters.iter().map(|letter| mean(model, letter)).collect())
        .collect();
    if letters.is_empty() || models.iter().flatten().all(Option::is_none) {
        return None;
    }
    let right: Vec<Option<f64>> = letters
        .iter()
        .map(|letter| {
            let mut share = Share::default();
            let golds = results
                .experiment
                .samples
                .iter()
                .filter_map(|sample| sample.gold.as_ref());
            golds.for_each(|gold| share.add(gold == letter));
            share.value()
        })
        .collect();
    let highest = |model: usize| {
        let known = letters
            .iter()
            .zip(&models[model])
            .filter_map(|(letter, mean)| Some((letter, (*mean)?)));
        let (letter, mean) = known.max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(format!(
            "{} finds {letter} most probable ({})",
            results.models[model],
            percent(mean)
        ))
    };
    let told: Vec<String> = (0..models.len()).filter_map(highest).collect();
    let told = format!("Mean probability of each option: {}.", told.join("; "));
    let has_right = right.iter().any(Option::is_some);
    let mut keys = Vec::new();
    let svg = if models.len() <= SERIES {
        keys.extend(
            results
                .models
                .iter()
                .enumerate()
                .map(|(model, name)| (plot::mark_key(model as u8), name.clone())),
        );
        if has_right {
            keys.push((plot::area_key(Ink::Back), "how often it is the right answer".to_owned()));
        }
        plot::option_probabilities(&letters, &right, &models, &told)
    } else {
        let cell = |mean: &Option<f64>| Cell {
            text: mean.map_or_else(String::new, |mean| format!("{:.0}", 100.0 * mean)),
            shade: mean.map_or(0, |mean| (mean * 20.0).round() as i32),
            right: false,
        };
        let cells: Vec<Vec<Cell>> = models.iter().map(|means| means.iter().map(cell).collect()).collect();
        plot::matrix(&results.models, &letters, &cells, "percent, by option", &told)
    };
    let models = results.models.iter().zip(&models);
    let mut rows: Vec<Vec<Entry>> = models.map(|(name, means)| row(name, means.iter().copied())).collect();
    if has_right {
        rows.push(row("Right answers", right));
    }
    Some(Figure {
        name: "options".to_owned(),
        title: "Probability of each option".to_owned(),
        note: "Mean over the samples.".to_owned(),
        svg,
        keys,
        table: Some(Table {
            caption: "Mean probability of each option; the last line is how often it is the right one".to_owned(),
            columns: columns(
                "Model",
                results.options().iter().map(|option| option.label.as_str()),
                "percent",
            ),
            rows,
        }),
    })
}

/// What maps cost and how right they came out; none where errors are unknown.
pub fn cost(results: &Results<'_>) -> Option<Figure> {
    let tolerance = results.experiment.attribution.tolerance;
    let several = (2..=SERIES).contains(&results.models.len());
    let mut maps = Vec::new();
    let mut rows = Vec::new();
    for (model, records) in results.source.records.iter().enumerate() {
        let of_model = records.iter().flat_map(|record| &record.attributions);
        let known: Vec<Spent> = of_model
            .filter(|a| a.non_finite.is_none())
            .filter_map(|a| {
                Some(Spent {
                    model: if several { model } else { 0 },
                    evaluations: a.evaluations,
                    error: a.error_estimate?,
                })
            })
            .collect();
        let median = |of: fn(&Spent) -> f64| summary::median(&known.iter().map(of).collect::<Vec<f64>>());
        let most = known.iter().map(|map| map.error).fold(0.0, f64::max);
        rows.push(vec![
            results.models[model].as_str().into(),
            known.len().into(),
            median(|map| map.evaluations as f64).into(),
            median(|map| map.error).into(),
            Some(most).into(),
            known.iter().filter(|map| map.error > tolerance).count().into(),
        ]);
        maps.extend(known);
    }
    // Under a fixed rule all maps cost the same, and the plot would be a line.
    let differ = maps.iter().any(|map| map.evaluations != maps[0].evaluations);
    if !differ {
        return None;
    }
    let all = maps.len();
    let above = maps.iter().filter(|map| map.error > tolerance).count();
    // The largest errors are what a reader must not miss.
    maps.sort_by(|a, b| {
        b.error
            .total_cmp(&a.error)
            .then(b.evaluations.cmp(&a.evaluations))
            .then(a.model.cmp(&b.model))
    });
    maps.truncate(DOTS);
    let shown = if all > DOTS {
        format!(" Drawn are the {DOTS} of the largest error.")
    } else {
        String::new()
    };
    let note = format!(
        "{all} maps, {above} with an error estimate above the tolerance of {}.{shown}",
        percent(tolerance)
    );
    let mut keys: Vec<(String, String)> = Vec::new();
    if several {
        keys.extend(
            results
                .models
                .iter()
                .enumerate()
                .map(|(model, name)| (plot::dot_key(model as u8), name.clone())),
        );
    }
    keys.push((plot::bound_key(), format!("tolerance, {}", percent(tolerance))));
    Some(Figure {
        name: "cost".to_owned(),
        title: "What the maps cost, and how right they are".to_owned(),
        svg: plot::cost(
            &maps,
            tolerance,
            &format!("Error estimates against evaluations. {note}"),
        ),
        note,
        keys,
        table: Some(Table {
            caption: "Maps whose error is estimated".to_owned(),
            columns: vec![
                Column::plain("Model"),
                Column::plain("Maps"),
                Column::of("Median evaluations", "decimals"),
                Column::of("Median error", "percent"),
                Column::of("Largest error", "percent"),
                Column::plain("Above tolerance"),
            ],
            rows,
        }),
    })
}
