//! Which words speak for each target over a whole experiment: the words of what the samples are about, by mean score.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::analysis::results::Results;
use crate::analysis::summary::{self, Mean};
use crate::analysis::text::bare;
use crate::content::units::CharText;
use crate::terms::TargetKind;

/// How many words each list has at most.
const LISTED: usize = 6;
/// What the maps of generated texts have in common.
const GENERATED: &str = "what the model generates";

/// The words of one target.
#[derive(Serialize)]
pub struct TargetWords {
    /// The target's text: an option's letter, or what a token reads as.
    pub target: String,
    /// The same with what an option stands for.
    pub label: String,
    /// Whether some model gives this answer to some sample.
    pub answered: bool,
    /// Maps of this target.
    pub maps: usize,
    /// Words with a positive sum of scores, the strongest first.
    pub speak_for: Vec<Word>,
    /// Words with a negative one.
    pub speak_against: Vec<Word>,
}

/// A word over all maps of a target.
#[derive(Serialize)]
pub struct Word {
    /// The word in lower case.
    pub word: String,
    /// Its mean score.
    pub score: f64,
    /// How often it comes.
    pub count: usize,
}

/// A line a target, in the order of the options, then by text. Words are told apart without regard to case; their rank
/// is their score summed over the target's maps, so that a word that comes once needs a large one.
pub fn by_target(results: &Results<'_>) -> Vec<TargetWords> {
    let mut targets: BTreeMap<(usize, String), (usize, BTreeMap<String, Mean>)> = BTreeMap::new();
    for (sample, analysed) in results.samples.iter().enumerate() {
        let text = CharText::new(&results.experiment.samples[sample].prompt.text);
        for (model, words) in analysed.words.iter().enumerate() {
            let record = results.record(model, sample);
            let (Some(words), Some(attribution)) = (words, summary::shown(record)) else {
                continue;
            };
            // No two models say the same in their own words.
            let target = match attribution.target.kind {
                TargetKind::Generated => GENERATED.to_owned(),
                _ => attribution.target.text.trim().to_owned(),
            };
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
    let line = |((_, target), (maps, means)): ((usize, String), (usize, BTreeMap<String, Mean>))| TargetWords {
        label: results.option_label(&target),
        answered: results.is_answered(&target),
        target,
        maps,
        speak_for: strongest(&means, 1.0),
        speak_against: strongest(&means, -1.0),
    };
    targets.into_iter().map(line).collect()
}

fn strongest(means: &BTreeMap<String, Mean>, sign: f64) -> Vec<Word> {
    let mut words: Vec<(f64, &String, &Mean)> = means
        .iter()
        .map(|(word, mean)| (sign * mean.value().unwrap_or(0.0) * mean.of as f64, word, mean))
        .filter(|(total, ..)| *total > 0.0)
        .collect();
    words.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    // What is less than a twentieth of the strongest is no finding.
    let least = words.first().map_or(0.0, |(total, ..)| total / 20.0);
    words.retain(|(total, ..)| *total >= least);
    let word = |(_, word, mean): (f64, &String, &Mean)| Word {
        word: word.clone(),
        score: mean.value().unwrap_or(0.0),
        count: mean.of,
    };
    words.into_iter().take(LISTED).map(word).collect()
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
        let d = lines.iter().find(|line| line.target == "D").expect("some model says D");
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
