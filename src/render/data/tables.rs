//! The tables that pages show, as data: a row a sample, or a model, one value a cell, a column a model, numbers as
//! programs read them. Pages link to these files; what a reader saves of the other tables, the script makes of them.

use super::Cells;
use crate::analysis::results::Results;
use crate::analysis::summary;
use crate::diagnostic::Result;
use crate::render::Sink;
use crate::site::urls;

/// What is said of each model in the table of samples: the second half of its columns' names.
const OF_MODEL: [&str; 9] = [
    "answer",
    "probability",
    "correct",
    "target",
    "baseline",
    "strongest_word",
    "score",
    "error",
    "converged",
];

/// Writes the tables of an experiment.
///
/// # Errors
/// A file is not taken.
pub fn write(results: &Results<'_>, out: &mut Sink<'_>) -> Result<()> {
    let id = &results.experiment.id;
    let made_by = format!("experiment `{id}`");
    out.put(urls::samples_csv(id), samples(results), &made_by)?;
    out.put(urls::models_csv(id), models(results), &made_by)?;
    out.put(urls::words_csv(id), words(results), &made_by)
}

/// A row a word and answer, over the maps of all models and of each: what the table of words has.
fn words(results: &Results<'_>) -> Vec<u8> {
    let mut cells = Cells::default();
    for name in ["model", "answer", "word", "mean_score", "maps", "samples"] {
        cells.text(name);
    }
    cells.end();
    for table in &results.answer_words {
        let model = table.model.map_or("", |model| &results.experiment.models[model]);
        for row in &table.rows {
            for (answer, cell) in table.answers.iter().zip(&row.cells) {
                let Some(cell) = cell else { continue };
                cells.text(model);
                cells.text(&answer.target);
                cells.text(&row.word);
                cells.plain(Some(cell.score));
                cells.plain(Some(cell.maps));
                cells.plain(Some(cell.samples));
                cells.end();
            }
        }
    }
    cells.0
}

/// A row a sample: what it says, its right option, and for each model its answer and the strongest word of the map that
/// pages show, among the words of what the sample is about.
fn samples(results: &Results<'_>) -> Vec<u8> {
    let experiment = results.experiment;
    let mut cells = Cells::default();
    for name in ["sample", "text", "gold", "same_answer"] {
        cells.text(name);
    }
    for model in &experiment.models {
        OF_MODEL.iter().for_each(|name| cells.text(&format!("{model}_{name}")));
    }
    cells.end();
    for (index, analysed) in results.samples.iter().enumerate() {
        let sample = &experiment.samples[index];
        cells.text(&sample.id);
        cells.text(&analysed.subject);
        cells.text(sample.gold.as_deref().unwrap_or_default());
        cells.plain(Some(analysed.same_answer));
        for (model, record) in results.records_of(index).enumerate() {
            cells.text(summary::answer_text(record));
            cells.plain(summary::answer_probability(record));
            cells.plain(record.correct);
            let shown = record.attributions.first();
            cells.text(shown.map_or("", |map| &map.target.text));
            cells.text(
                &shown
                    .and_then(|map| map.baseline.as_ref())
                    .map_or_else(String::new, ToString::to_string),
            );
            let strongest = results.reasons(model, index, 1).first().copied();
            cells.text(&strongest.map_or_else(String::new, |(word, _)| results.word(index, word)));
            cells.plain(strongest.map(|(_, score)| score));
            let errors = analysed.errors[model].as_ref();
            cells.plain(strongest.zip(errors).map(|((word, _), errors)| errors.units[word]));
            cells.plain(shown.and_then(|map| map.converged));
        }
        cells.end();
    }
    cells.0
}

/// A row a model: its answers, and how right its maps are.
fn models(results: &Results<'_>) -> Vec<u8> {
    const COLUMNS: [&str; 18] = [
        "model",
        "title",
        "samples",
        "right",
        "judged",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "right_probability",
        "confidence",
        "overconfidence",
        "calibration_error",
        "converged",
        "maps",
        "median_error",
        "worst_delta",
        "evaluations",
        "seconds",
    ];
    let mut cells = Cells::default();
    COLUMNS.iter().for_each(|name| cells.text(name));
    cells.end();
    let models = results.experiment.models.iter().zip(&results.models);
    for ((id, title), summary) in models.zip(&results.summaries) {
        let interval = summary.accuracy.wilson();
        cells.text(id);
        cells.text(title);
        cells.plain(Some(summary.samples));
        cells.plain(Some(summary.accuracy.count));
        cells.plain(Some(summary.accuracy.of));
        for number in [
            summary.accuracy.value(),
            interval.map(|(low, _)| low),
            interval.map(|(_, high)| high),
            summary.right_probability.value(),
            summary.confidence.value(),
            summary.overconfidence,
            summary.calibration_error,
        ] {
            cells.plain(number);
        }
        cells.plain(Some(summary.converged.count));
        cells.plain(Some(summary.converged.of));
        for number in [
            summary.median_error,
            summary.worst_delta,
            summary.evaluations.value(),
            summary.seconds.value(),
        ] {
            cells.plain(number);
        }
        cells.end();
    }
    cells.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    /// Rows of cells, by a reader that is not ours.
    fn rows(bytes: &[u8]) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
        let rows = reader.records().map(|row| row.expect("CSV with rows of one length"));
        rows.map(|row| row.iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn a_cell_has_one_value_and_numbers_are_those_of_the_records() {
        let fixture = Fixture::demo();
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        let rows = rows(&samples(&results));
        assert_eq!(rows.len(), 1 + results.samples.len());
        let column = |name: &str| rows[0].iter().position(|known| known == name).expect("a column");
        let (word, score) = (column("llama-toy_strongest_word"), column("llama-toy_score"));
        let probability = column("falcon-toy_probability");
        for (index, row) in rows[1..].iter().enumerate() {
            let (strongest, number) = results.reasons(1, index, 1)[0];
            assert_eq!(row[word], results.word(index, strongest));
            assert_eq!(row[score].parse(), Ok(number));
            assert_eq!(
                row[probability].parse().ok(),
                summary::answer_probability(results.record(0, index))
            );
            assert!(row[0] == results.experiment.samples[index].id && row[1] == results.samples[index].subject);
        }
    }

    #[test]
    fn words_are_those_of_the_table_of_words() {
        let fixture = Fixture::demo();
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        let rows = rows(&words(&results));
        let cells = results.answer_words.iter().flat_map(|table| &table.rows);
        let cells = cells.flat_map(|row| row.cells.iter().flatten());
        let numbers: Vec<(f64, usize)> = cells.map(|cell| (cell.score, cell.maps)).collect();
        let read = rows[1..]
            .iter()
            .map(|row| (row[3].parse().expect("a score"), row[4].parse().expect("a count")));
        assert_eq!(read.collect::<Vec<(f64, usize)>>(), numbers);
        assert!(!numbers.is_empty());
    }

    #[test]
    fn models_are_counted_as_on_pages() {
        let fixture = Fixture::demo();
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        let rows = rows(&models(&results));
        for (row, summary) in rows[1..].iter().zip(&results.summaries) {
            assert_eq!(row[3].parse(), Ok(summary.accuracy.count));
            assert_eq!(row[5].parse().ok(), summary.accuracy.value());
            assert!(row[7].parse::<f64>().expect("a number") >= row[6].parse().expect("a number"));
        }
        assert_eq!(rows[1][0], "falcon-toy");
    }
}
