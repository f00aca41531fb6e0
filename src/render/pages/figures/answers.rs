//! Figures about answers: calibration and confusion.

use super::row;
use crate::analysis::calibration::{self, Bin};
use crate::analysis::results::Results;
use crate::analysis::summary;
use crate::render::plot::{self, Cell, Column, Figure, Table};
use crate::render::text::{excerpt, or_dash, percent, points};

/// A reliability curve a model; none where nothing is right or wrong.
pub fn calibrations(results: &Results<'_>) -> Vec<Figure> {
    (0..results.models.len())
        .filter_map(|model| calibration_of(results, model))
        .collect()
}

/// The reliability curve of one model.
pub fn calibration_of(results: &Results<'_>, model: usize) -> Option<Figure> {
    let bins = calibration::of_records(&results.source.records[model]);
    let error = calibration::expected_error(&bins)?;
    let over = results.summaries[model].overconfidence;
    Some(reliability(model, &results.models[model], &bins, error, over))
}

fn reliability(index: usize, name: &str, bins: &[Bin], error: f64, over: Option<f64>) -> Figure {
    let answers: usize = bins.iter().map(|bin| bin.accuracy.of).sum();
    let rows = bins.iter().map(|bin| {
        vec![
            Some((bin.low, bin.high)).into(),
            bin.accuracy.of.into(),
            bin.confidence.value().into(),
            bin.accuracy.value().into(),
            bin.accuracy.wilson().into(),
        ]
    });
    let note = format!(
        "Expected calibration error {}, from {answers} answers in {} bin{}; confidence minus accuracy {} points.",
        percent(error),
        bins.len(),
        if bins.len() == 1 { "" } else { "s" },
        or_dash(over.map(points))
    );
    Figure {
        name: format!("calibration-{}", index + 1),
        title: excerpt(name, 60),
        svg: plot::calibration(bins, &format!("Calibration of {name}. {note}")),
        note,
        keys: Vec::new(),
        table: Some(Table {
            caption: "Answers by how probable the model found them".to_owned(),
            columns: vec![
                Column::of("Probability", "interval"),
                Column::plain("Answers"),
                Column::of("Mean confidence", "percent"),
                Column::of("Right", "percent"),
                Column::of("95% interval", "interval"),
            ],
            rows: rows.collect(),
        }),
    }
}

/// Right option against given answer, a matrix a model.
pub fn confusions(results: &Results<'_>) -> Vec<Figure> {
    let options = &results.experiment.options;
    let letters: Vec<&str> = options.iter().map(|option| option.letter.as_str()).collect();
    let models = results.models.iter().zip(&results.source.records).enumerate();
    models
        .map(|(index, (name, records))| {
            confusion(results, &letters, index, name, &summary::confusion(&letters, records))
        })
        .collect()
}

fn confusion(results: &Results<'_>, letters: &[&str], index: usize, name: &str, counts: &[Vec<usize>]) -> Figure {
    let most = counts.iter().flatten().copied().max().unwrap_or(0).max(1);
    let cells: Vec<Vec<Cell>> = counts
        .iter()
        .enumerate()
        .map(|(gold, counts)| {
            let cell = |(given, &count): (usize, &usize)| Cell {
                text: count.to_string(),
                shade: (20 * count).div_ceil(most) as i32,
                right: gold == given,
            };
            counts.iter().enumerate().map(cell).collect()
        })
        .collect();
    let given = |given: usize| letters.get(given).copied().unwrap_or("no option");
    let (right, all) = counts.iter().enumerate().fold((0, 0), |(right, all), (gold, counts)| {
        (right + counts[gold], all + counts.iter().sum::<usize>())
    });
    let confused = counts.iter().enumerate().flat_map(|(gold, counts)| {
        counts
            .iter()
            .enumerate()
            .map(move |(given, count)| (*count, gold, given))
    });
    let confused = confused
        .filter(|(count, gold, given)| gold != given && *count > 0)
        .max_by_key(|(count, gold, given)| (*count, std::cmp::Reverse((*gold, *given))));
    let confused = confused.map_or_else(String::new, |(count, gold, place)| {
        format!(
            "; most often wrong: {} for {} ({count} times)",
            given(place),
            letters[gold]
        )
    });
    let rows: Vec<String> = letters.iter().map(|letter| results.option_label(letter)).collect();
    let columns: Vec<String> = letters
        .iter()
        .map(|letter| (*letter).to_owned())
        .chain(["other".to_owned()])
        .collect();
    let note = format!("{right} of {all} right{confused}.");
    Figure {
        name: format!("confusion-{}", index + 1),
        title: excerpt(name, 60),
        svg: plot::matrix(
            &rows,
            &columns,
            &cells,
            "answer",
            &format!("Right options (rows) and answers (columns) of {name}: {note}"),
        ),
        note,
        keys: Vec::new(),
        table: Some(Table {
            caption: "Right option down, answer across".to_owned(),
            columns: ["Right"]
                .into_iter()
                .chain(columns.iter().map(String::as_str))
                .map(Column::plain)
                .collect(),
            rows: rows
                .iter()
                .zip(counts)
                .map(|(label, counts)| row(label, counts.iter().copied()))
                .collect(),
        }),
    }
}
