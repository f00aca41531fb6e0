//! Which words speak for each target over a whole experiment: the words of what the samples are about, by mean score.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::analysis::align::CharText;
use crate::analysis::results::Results;
use crate::analysis::summary::{self, Mean};
use crate::analysis::text::bare;
use crate::render::text::signed;
use crate::site::urls;

/// How many words each list shows at most.
const LISTED: usize = 6;

/// The words of one target.
#[derive(Serialize)]
pub struct TargetWords {
    target: String,
    /// The samples with such an answer, in the table below; none where no model answers so.
    samples: Option<String>,
    maps: usize,
    speak_for: Vec<WordView>,
    speak_against: Vec<WordView>,
}

#[derive(Serialize)]
struct WordView {
    word: String,
    /// The samples with it among them.
    samples: Option<String>,
    score: String,
    count: usize,
}

/// A line a target, in the order of the options, then by text. Words are told apart without regard to case; their rank is
/// their score summed over the target's maps, so that a word that comes once needs a large one.
pub fn by_target(results: &Results<'_>) -> Vec<TargetWords> {
    let mut targets: BTreeMap<(usize, String), (usize, BTreeMap<String, Mean>)> = BTreeMap::new();
    for (sample, analysed) in results.samples.iter().enumerate() {
        let text = CharText::new(&results.experiment.samples[sample].prompt.text);
        for (model, words) in analysed.words.iter().enumerate() {
            let record = results.record(model, sample);
            let (Some(words), Some(attribution)) = (words, summary::shown(record)) else {
                continue;
            };
            let target = attribution.target.text.trim().to_owned();
            let place = results
                .experiment
                .options
                .iter()
                .position(|option| option.letter == target);
            let (maps, means) = targets.entry((place.unwrap_or(usize::MAX), target)).or_default();
            *maps += 1;
            for (index, (unit, &score)) in analysed.units.words.iter().zip(&words.units).enumerate() {
                let segment = &analysed.units.segments[analysed.units.segment_of_word(index)].name;
                if results.subject.contains(segment) {
                    means
                        .entry(bare(text.slice(unit.start, unit.end)).to_lowercase())
                        .or_default()
                        .add(Some(score));
                }
            }
        }
    }
    let line = |((_, target), (maps, means)): ((usize, String), (usize, BTreeMap<String, Mean>))| {
        let answer = Some(target.as_str()).filter(|target| results.is_answered(target));
        TargetWords {
            target: results.option_label(&target),
            samples: answer.map(|answer| samples_with(answer, None)),
            maps,
            speak_for: strongest(&means, 1.0, answer),
            speak_against: strongest(&means, -1.0, answer),
        }
    };
    targets.into_iter().map(line).collect()
}

/// The address of the table of samples with those that some model answers so, and that have a word.
fn samples_with(answer: &str, word: Option<&str>) -> String {
    let word = word.map_or_else(String::new, |word| format!("q={}&", urls::encode(word)));
    format!("?{word}answer={}#samples", urls::encode(answer))
}

fn strongest(means: &BTreeMap<String, Mean>, sign: f64, answer: Option<&str>) -> Vec<WordView> {
    let mut words: Vec<(f64, &String, &Mean)> = means
        .iter()
        .map(|(word, mean)| (sign * mean.value().unwrap_or(0.0) * mean.of as f64, word, mean))
        .filter(|(total, ..)| *total > 0.0)
        .collect();
    words.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    // What is less than a twentieth of the strongest is no finding.
    let least = words.first().map_or(0.0, |(total, ..)| total / 20.0);
    words.retain(|(total, ..)| *total >= least);
    let view = |(_, word, mean): (f64, &String, &Mean)| WordView {
        word: word.clone(),
        samples: answer.map(|answer| samples_with(answer, Some(word))),
        score: signed(mean.value().unwrap_or(0.0)),
        count: mean.of,
    };
    words.into_iter().take(LISTED).map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    #[test]
    fn the_words_that_decide_come_first() {
        let fixture = Fixture::demo();
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        let lines = by_target(&results);
        assert_eq!(
            lines.iter().map(|line| line.maps).sum::<usize>(),
            24,
            "a map a model and sample"
        );
        let d = lines
            .iter()
            .find(|line| line.target.starts_with('D'))
            .expect("some model says D");
        assert!(
            d.speak_for[..2].iter().any(|word| word.word == "twice"),
            "made up to decide"
        );
        assert!(
            d.speak_for
                .iter()
                .all(|word| !["true", "choice"].contains(&word.word.as_str())),
            "form is left out"
        );
    }
}
