//! Two models word by word over a whole experiment: where their scores differ most, and all of them against each other.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures;
use crate::analysis::align::CharText;
use crate::analysis::results::Results;
use crate::analysis::summary::Mean;
use crate::analysis::text::bare;
use crate::render::plot::{self, Figure, Table};
use crate::render::text::{correlation, plus_minus, signed};

/// How many words each list shows.
const LISTED: usize = 8;
/// Dots on a page with all pairs together, and in one plot at least and at most.
const DOTS: (usize, usize, usize) = (3000, 60, 500);

/// Two models, word by word.
#[derive(Serialize)]
pub struct PairView {
    id: String,
    first: String,
    second: String,
    scatter: Option<Figure>,
    words: Vec<WordView>,
    has_errors: bool,
}

#[derive(Serialize)]
struct WordView {
    word: String,
    count: usize,
    first: String,
    second: String,
    difference: String,
    /// The errors of both, at most.
    error: String,
    /// Whether the difference is within them.
    noise: bool,
}

/// Every two models that have a map in common.
pub fn pairs(results: &Results<'_>) -> Vec<PairView> {
    let count = results.models.len();
    let all: Vec<(usize, usize)> = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))).collect();
    let (together, least, most) = DOTS;
    let dots = (together / all.len().max(1)).clamp(least, most);
    all.into_iter().map(|pair| view(results, pair, dots)).collect()
}

fn view(results: &Results<'_>, pair: (usize, usize), dots: usize) -> PairView {
    let words = differing(results, pair);
    let (a, b) = pair;
    PairView {
        id: format!("pair-{}-{}", a + 1, b + 1),
        first: results.models[a].clone(),
        second: results.models[b].clone(),
        scatter: scatter(results, pair, dots),
        has_errors: words.iter().any(|word| !word.error.is_empty()),
        words,
    }
}

/// A word of a sample with its scores by two models.
struct Point {
    sample: usize,
    word: usize,
    scores: (f64, f64),
}

fn scatter(results: &Results<'_>, (a, b): (usize, usize), dots: usize) -> Option<Figure> {
    let mut points = Vec::new();
    let mut samples = 0;
    for (sample, analysed) in results.samples.iter().enumerate() {
        if let (Some(x), Some(y)) = (&analysed.words[a], &analysed.words[b]) {
            samples += 1;
            let scores = x.units.iter().copied().zip(y.units.iter().copied()).enumerate();
            points.extend(scores.map(|(word, scores)| Point { sample, word, scores }));
        }
    }
    let all = points.len();
    if all == 0 {
        return None;
    }
    let size = |point: &Point| point.scores.0.abs().max(point.scores.1.abs());
    points.sort_by(|x, y| {
        size(y)
            .total_cmp(&size(x))
            .then((x.sample, x.word).cmp(&(y.sample, y.word)))
    });
    points.truncate(dots);
    let which = if all > dots {
        format!("The {dots} strongest of {all} words; the others lie nearer to the middle.")
    } else {
        format!("All {all} words.")
    };
    let alike = points
        .iter()
        .filter(|point| point.scores.0 * point.scores.1 > 0.0)
        .count();
    let spearman = figures::mean_of(results, (a, b), |agreement| agreement.leading().spearman).value();
    let (first, second) = (&results.models[a], &results.models[b]);
    let told = format!(
        "Word scores of {first} (across) and {second} (up) on {samples} samples: {alike} of {} dots have the same sign in both{}.",
        points.len(),
        spearman.map_or_else(String::new, |mean| format!(
            "; mean rank correlation {}",
            correlation(mean)
        ))
    );
    let row = |point: &Point| {
        let text = CharText::new(&results.experiment.samples[point.sample].prompt.text);
        let unit = results.samples[point.sample].units.words[point.word];
        vec![
            bare(text.slice(unit.start, unit.end)),
            results.sample_title(point.sample),
            signed(point.scores.0),
            signed(point.scores.1),
        ]
    };
    let drawn: Vec<(f64, f64)> = points.iter().map(|point| point.scores).collect();
    Some(Figure {
        name: format!("words-{}-{}", a + 1, b + 1),
        title: format!("{first} and {second}, word by word"),
        note: which,
        svg: plot::words(&drawn, (first, second), &told),
        keys: Vec::new(),
        table: Some(Table {
            caption: "The 20 strongest words; the data of the experiment have all of them".to_owned(),
            head: vec!["Word".to_owned(), "Sample".to_owned(), first.clone(), second.clone()],
            rows: points.iter().take(20).map(row).collect(),
        }),
    })
}

/// A word over all samples.
#[derive(Default)]
struct Sums {
    first: Mean,
    second: Mean,
    error: Mean,
}

/// The words of what the samples are about whose scores differ most, by the sum of the differences, so that a word that comes once needs a
/// large one.
fn differing(results: &Results<'_>, (a, b): (usize, usize)) -> Vec<WordView> {
    let mut words: BTreeMap<String, Sums> = BTreeMap::new();
    for (sample, analysed) in results.samples.iter().enumerate() {
        let (Some(x), Some(y)) = (&analysed.words[a], &analysed.words[b]) else {
            continue;
        };
        let text = CharText::new(&results.experiment.samples[sample].prompt.text);
        let errors = analysed.errors[a].as_ref().zip(analysed.errors[b].as_ref());
        for (index, unit) in analysed.units.words.iter().enumerate() {
            let segment = &analysed.units.segments[analysed.units.segment_of_word(index)].name;
            if results.subject.contains(segment) {
                let sums = words
                    .entry(bare(text.slice(unit.start, unit.end)).to_lowercase())
                    .or_default();
                sums.first.add(Some(x.units[index]));
                sums.second.add(Some(y.units[index]));
                sums.error.add(errors.map(|(x, y)| x.units[index] + y.units[index]));
            }
        }
    }
    let difference = |sums: &Sums| Some(sums.first.value()? - sums.second.value()?);
    let mut ranked: Vec<(f64, String, Sums)> = words
        .into_iter()
        .filter_map(|(word, sums)| Some((difference(&sums)?, word, sums)))
        .filter(|(difference, ..)| *difference != 0.0)
        .collect();
    let weight = |(difference, _, sums): &(f64, String, Sums)| difference.abs() * sums.first.of as f64;
    ranked.sort_by(|x, y| weight(y).total_cmp(&weight(x)).then(x.1.cmp(&y.1)));
    ranked.truncate(LISTED);
    let view = |(difference, word, sums): (f64, String, Sums)| {
        // Known only if it is for every time the word comes.
        let error = sums.error.value().filter(|_| sums.error.of == sums.first.of);
        WordView {
            word,
            count: sums.first.of,
            first: signed(sums.first.value().unwrap_or_default()),
            second: signed(sums.second.value().unwrap_or_default()),
            difference: signed(difference),
            error: error.map_or_else(String::new, plus_minus),
            noise: error.is_some_and(|error| difference.abs() <= error),
        }
    };
    ranked.into_iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    #[test]
    fn every_two_models_are_compared_and_the_plots_say_what_they_leave_out() {
        let fixture = Fixture::demo().adaptive();
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        let found = pairs(&results);
        assert_eq!(found.len(), 6);
        for pair in &found {
            let scatter = pair.scatter.as_ref().expect("maps");
            let words: usize = results.samples.iter().map(|sample| sample.units.words.len()).sum();
            assert!(
                words <= 500 && scatter.note == format!("All {words} words."),
                "{}",
                scatter.note
            );
            assert_eq!(scatter.svg.matches("h0").count(), words);
            assert!(pair.has_errors && pair.words.len() == LISTED);
        }
        let few = scatter(&results, (0, 1), 60).expect("maps");
        assert!(few.note.starts_with("The 60 strongest of") && few.svg.matches("h0").count() == 60);
    }

    #[test]
    fn a_difference_within_its_errors_is_marked() {
        let mut fixture = Fixture::demo().adaptive();
        for record in fixture.records.iter_mut().flatten().flatten() {
            for attribution in &mut record.attributions {
                attribution.errors = Some(attribution.scores.iter().map(|_| 9.0).collect());
            }
        }
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        assert!(
            pairs(&results)
                .iter()
                .flat_map(|pair| &pair.words)
                .all(|word| word.noise)
        );
        assert!(
            results
                .samples
                .iter()
                .flat_map(|s| &s.agreements)
                .all(|(.., a)| a.leading().spearman.is_none())
        );
    }
}
