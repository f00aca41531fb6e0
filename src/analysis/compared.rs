//! What of a sample's maps may stand beside each other: the scores of the words that the sample is about, of one target
//! for all models.
//!
//! Models that answer differently have maps of different answers, and no agreement of such maps says anything. So the
//! maps of the right answer are compared where there are any, else the maps that pages show, and of those only two of
//! the same target.

use serde::Serialize;

use crate::analysis::agreement::{Agreement, Scored, agreement, largest};
use crate::analysis::summary;
use crate::store::record::{AttributionRecord, SampleRecord};
use crate::terms::{Baseline, TargetKind};

/// A map of one model of a sample, by the words of what the sample is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// What it explains, as its record has it.
    pub target: String,
    /// One score a word.
    pub scores: Vec<f64>,
    /// At most this far is each score from the truth; none where nobody knows.
    pub errors: Option<Vec<f64>>,
}

impl Compared {
    /// The place of the word of greatest magnitude; none where all scores are zero.
    pub fn strongest(&self) -> Option<usize> {
        let first = *largest(&self.scores, 1).first()?;
        (self.scores[first] != 0.0).then_some(first)
    }
}

/// The map of a record that is compared with those of other models: of the right answer where `gold`, else the one that
/// pages show; none where that is marked or missing.
pub fn compared_map(record: &SampleRecord, gold: bool) -> Option<&AttributionRecord> {
    let first = record.attributions.first()?;
    let chosen = if gold { of_right_answer(record) } else { None };
    Some(chosen.unwrap_or(first)).filter(|map| summary::is_drawable(map, record))
}

/// The map of the right answer by the method and from the baseline that pages show.
fn of_right_answer(record: &SampleRecord) -> Option<&AttributionRecord> {
    let first = record.attributions.first()?;
    record
        .attributions
        .iter()
        .find(|map| map.target.kind == TargetKind::Gold && is_made_alike(map, first) && map.baseline == first.baseline)
}

/// Whether all records of samples with a right answer have a map of it.
pub fn has_right_answers(records: &[Vec<SampleRecord>]) -> bool {
    let mut asked = records
        .iter()
        .flatten()
        .filter(|record| record.sample.gold.is_some())
        .peekable();
    asked.peek().is_some() && asked.all(|record| of_right_answer(record).is_some())
}

/// Whether two maps are made by one method.
fn is_made_alike(a: &AttributionRecord, b: &AttributionRecord) -> bool {
    let by = |map: &AttributionRecord| map.imported.as_ref().map(|by| (by.tool.clone(), by.method.clone()));
    a.method == b.method && by(a) == by(b)
}

/// How two maps agree; none where they explain different things.
pub fn agreement_of(a: &Compared, b: &Compared) -> Option<Agreement> {
    fn scored(map: &Compared) -> Scored<'_> {
        Scored {
            scores: &map.scores,
            errors: map.errors.as_deref(),
        }
    }
    (a.target.trim() == b.target.trim()).then(|| agreement(scored(a), scored(b)))
}

/// A map beside the same map from another baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OtherBaseline {
    /// The other one.
    pub baseline: Baseline,
    /// Whether both have the same strongest word.
    pub same_word: bool,
    /// Pearson's correlation of the scores.
    pub correlation: Option<f64>,
}

/// A map beside the same map by another method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OtherMethod {
    /// What the other one is called.
    pub method: String,
    /// Whether both have the same strongest word, with the same sign.
    pub same_word: bool,
}

/// The maps of a record that differ from the one that pages show in nothing but their method.
pub fn by_other_methods(record: &SampleRecord) -> impl Iterator<Item = &AttributionRecord> {
    of_the_same_target(record, |map, first| {
        !is_made_alike(map, first) && map.baseline == first.baseline
    })
}

/// The maps of a record that differ from the one that pages show in nothing but their baseline.
pub fn from_other_baselines(record: &SampleRecord) -> impl Iterator<Item = &AttributionRecord> {
    of_the_same_target(record, |map, first| {
        is_made_alike(map, first) && map.baseline != first.baseline
    })
}

/// The other maps of the target that the first one explains, where they differ from it as `differ` says.
fn of_the_same_target(
    record: &SampleRecord,
    differ: impl Fn(&AttributionRecord, &AttributionRecord) -> bool,
) -> impl Iterator<Item = &AttributionRecord> {
    let first = record.attributions.first();
    record.attributions.iter().skip(1).filter(move |map| {
        first.is_some_and(|first| {
            (map.target.kind, &map.target.token_ids) == (first.target.kind, &first.target.token_ids)
                && differ(map, first)
        }) && summary::is_drawable(map, record)
    })
}

/// Whether the words of greatest magnitude are all expected ones; of several that tie for it, each. None where all
/// scores are zero, or no word is expected.
pub fn strongest_is_expected(scores: &[f64], expected: &[bool]) -> Option<bool> {
    let most = scores.iter().fold(0.0, |most: f64, score| most.max(score.abs()));
    if most == 0.0 || !expected.contains(&true) {
        return None;
    }
    let mut strongest = scores.iter().zip(expected).filter(|(score, _)| score.abs() == most);
    Some(strongest.all(|(_, expected)| *expected))
}

/// Pearson's correlation; none of fewer than two values, and where all values of a list are equal.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        product += (x - mean_a) * (y - mean_b);
        square_a += (x - mean_a).powi(2);
        square_b += (y - mean_b).powi(2);
    }
    let norm = (square_a * square_b).sqrt();
    (norm > 0.0).then(|| (product / norm).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    #[test]
    fn maps_of_different_targets_are_not_compared() {
        let map = |target: &str| Compared {
            target: target.to_owned(),
            scores: vec![1.0, 2.0],
            errors: None,
        };
        assert!(agreement_of(&map("B"), &map("E")).is_none());
        // A tokenizer may have the blank before a letter.
        assert_eq!(
            agreement_of(&map("B"), &map(" B")).and_then(|both| both.spearman),
            Some(1.0)
        );
    }

    #[test]
    fn the_right_answer_is_compared_where_all_records_have_it() {
        let mut records = fixture::records("tiny", 3);
        let gold = compared_map(&records[0], true).expect("a map");
        assert_eq!(gold.target.kind, TargetKind::Gold);
        assert_eq!(compared_map(&records[0], false), records[0].attributions.first());
        assert!(has_right_answers(&[records.clone()]));
        records[1].attributions.truncate(1);
        assert!(!has_right_answers(&[records]));
    }

    #[test]
    fn the_correlation_is_that_of_the_books() {
        // numpy.corrcoef([1, 2, 4], [1, 3, 2])[0, 1]
        let found = pearson(&[1.0, 2.0, 4.0], &[1.0, 3.0, 2.0]).expect("defined");
        assert!((found - 0.327_326_835).abs() < 1e-9, "{found}");
        assert_eq!(pearson(&[1.0, 1.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn of_words_that_tie_each_must_be_expected() {
        assert_eq!(strongest_is_expected(&[1.0, -2.0], &[false, true]), Some(true));
        assert_eq!(strongest_is_expected(&[2.0, -2.0], &[false, true]), Some(false));
        assert_eq!(strongest_is_expected(&[0.0, 0.0], &[false, true]), None);
        assert_eq!(strongest_is_expected(&[1.0, 0.0], &[false, false]), None);
    }
}
