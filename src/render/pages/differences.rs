//! Two models word by word over a whole experiment: where their scores differ most, and all of them against each other.

use serde::Serialize;

use crate::analysis::pairs::{self, DifferingWord, Point};
use crate::analysis::results::Results;
use crate::render::plot::{self, Column, Entry, Figure, Table};
use crate::render::text::correlation;

/// Dots on a page with all pairs together, and in one plot at least and at most.
const DOTS: (usize, usize, usize) = (3000, 60, 500);

/// Two models, word by word.
#[derive(Serialize)]
pub struct WordByWord<'a> {
    id: String,
    first: &'a str,
    second: &'a str,
    scatter: Option<Figure>,
    words: Vec<DifferingWord>,
    /// Whether the errors of any of the words are known.
    has_errors: bool,
}

/// Every two models.
pub fn word_by_word<'a>(results: &'a Results<'_>) -> Vec<WordByWord<'a>> {
    let all: Vec<(usize, usize)> = pairs::every_two(results.models.len()).collect();
    let (together, least, most) = DOTS;
    let dots = (together / all.len().max(1)).clamp(least, most);
    let of_pair = |(a, b): (usize, usize)| {
        let words = pairs::differing(results, (a, b));
        WordByWord {
            id: format!("pair-{}-{}", a + 1, b + 1),
            first: &results.models[a],
            second: &results.models[b],
            scatter: scatter(results, (a, b), dots),
            has_errors: words.iter().any(|word| word.error.is_some()),
            words,
        }
    };
    all.into_iter().map(of_pair).collect()
}

fn scatter(results: &Results<'_>, (a, b): (usize, usize), dots: usize) -> Option<Figure> {
    let (mut points, samples) = pairs::points(results, (a, b));
    let all = points.len();
    if all == 0 {
        return None;
    }
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
    let spearman = pairs::mean_of(results, (a, b), |agreement| agreement.leading().spearman).value();
    let (first, second) = (&results.models[a], &results.models[b]);
    let words = format!(
        "Word scores of {first} (across) and {second} (up) on {samples} samples: {alike} of {} dots have the same sign in both{}.",
        points.len(),
        spearman.map_or_else(String::new, |mean| format!(
            "; mean rank correlation {}",
            correlation(mean)
        ))
    );
    let row = |point: &Point| -> Vec<Entry> {
        vec![
            Entry::Text(results.word(point.sample, point.word)),
            Entry::Text(results.sample_title(point.sample)),
            Some(point.scores.0).into(),
            Some(point.scores.1).into(),
        ]
    };
    let drawn: Vec<(f64, f64)> = points.iter().map(|point| point.scores).collect();
    Some(Figure {
        name: format!("words-{}-{}", a + 1, b + 1),
        title: format!("{first} and {second}, word by word"),
        note: which,
        svg: plot::words(&drawn, (first, second), &words),
        keys: Vec::new(),
        table: Some(Table {
            caption: "The 20 strongest words; the data of the experiment have all of them".to_owned(),
            columns: vec![
                Column::plain("Word"),
                Column::plain("Sample"),
                Column::of(first, "signed"),
                Column::of(second, "signed"),
            ],
            rows: points.iter().take(20).map(row).collect(),
        }),
    })
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
        let found = word_by_word(&results);
        assert_eq!(found.len(), 6);
        for pair in &found {
            let scatter = pair.scatter.as_ref().expect("maps");
            let words: usize = results.samples.iter().map(|sample| sample.subject_words.len()).sum();
            assert!(
                words <= 500 && scatter.note == format!("All {words} words."),
                "{}",
                scatter.note
            );
            assert_eq!(scatter.svg.matches("h0").count(), words);
            assert!(pair.has_errors && pair.words.len() == pairs::LISTED_WORDS);
        }
        let few = scatter(&results, (0, 1), 60).expect("maps");
        assert!(few.note.starts_with("The 60 strongest of") && few.svg.matches("h0").count() == 60);
    }
}
