//! How far the methods of an experiment agree, model by model: the maps of the same sample, target and baseline.
//!
//! By the words of what the samples are about, as models are compared: weighted by the errors where both maps know
//! theirs (see [`super::agreement`]).

use serde::Serialize;

use crate::analysis::agreement::{Scored, agreement, largest};
use crate::analysis::bootstrap::Estimate;
use crate::analysis::groups::{Group, groups};
use crate::analysis::shared_words::SharedWords;
use crate::analysis::summary::{Share, is_drawable};
use crate::content::experiment::Experiment;
use crate::content::subject::subject_segments;
use crate::store::record::SampleRecord;
use crate::terms::{Baseline, Method, TargetKind};

/// Two methods, over the samples of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodPair {
    /// Id of the model.
    pub model: String,
    /// One method.
    pub first: Method,
    /// The other.
    pub second: Method,
    /// What kind of thing both explain.
    pub kind: TargetKind,
    /// What they explain, where that is the same in all samples.
    pub target: Option<String>,
    /// What both compare the input with.
    pub baseline: Baseline,
    /// Mean rank correlation of the words.
    pub spearman: Option<Estimate>,
    /// Mean share of the strongest words in common.
    pub overlap: Option<Estimate>,
    /// In how many samples both have the same strongest word.
    pub same_strongest: Share,
}

/// Word scores of a group's maps, by sample: with the errors where they are known.
type Words = Vec<Option<(Vec<f64>, Option<Vec<f64>>)>>;

/// Every two methods of a model's records, for each target and baseline that both have.
pub fn pairs(experiment: &Experiment, records: &[SampleRecord]) -> Vec<MethodPair> {
    let groups = groups(records);
    if groups
        .iter()
        .all(|group| group.common.method == groups[0].common.method)
    {
        return vec![];
    }
    let subject = subject_segments(experiment);
    let shared: Vec<(SharedWords, Vec<bool>)> = experiment
        .samples
        .iter()
        .zip(records)
        .map(|(sample, record)| {
            let words = SharedWords::of(&sample.prompt, experiment.prompt_style, record);
            let mut counts = words.within(&subject);
            if subject.is_empty() {
                counts.fill(true);
            }
            (words, counts)
        })
        .collect();
    let words: Vec<Words> = groups.iter().map(|group| words_of(group, &shared)).collect();
    let mut pairs = Vec::new();
    for (second, words_of_second) in groups.iter().zip(&words) {
        for (first, words_of_first) in groups.iter().zip(&words) {
            if std::ptr::eq(first, second) {
                break;
            }
            let alike = (first.target, &first.common.baseline) == (second.target, &second.common.baseline);
            if alike && first.common.method != second.common.method {
                pairs.push(pair((first, words_of_first), (second, words_of_second)));
            }
        }
    }
    pairs
}

fn words_of(group: &Group<'_>, shared: &[(SharedWords, Vec<bool>)]) -> Words {
    let mut words: Words = vec![None; shared.len()];
    for member in &group.members {
        let Some((prompt, counts)) = shared.get(member.sample) else {
            continue;
        };
        if !is_drawable(member.map, member.record) {
            continue;
        }
        let of = |values: &[f64]| -> Option<Vec<f64>> {
            let sums = prompt.sums(values)?.units.into_iter().zip(counts);
            Some(sums.filter(|(_, counts)| **counts).map(|(sum, _)| sum).collect())
        };
        words[member.sample] = of(&member.map.scores).map(|scores| (scores, member.map.errors.as_deref().and_then(of)));
    }
    words
}

fn pair((first, a): (&Group<'_>, &Words), (second, b): (&Group<'_>, &Words)) -> MethodPair {
    let (mut spearman, mut overlap, mut same) = (Vec::new(), Vec::new(), Share::default());
    for (a, b) in a.iter().zip(b) {
        let (Some((a, a_errors)), Some((b, b_errors))) = (a, b) else {
            continue;
        };
        let measures = agreement(scored(a, a_errors.as_deref()), scored(b, b_errors.as_deref())).leading();
        spearman.extend(measures.spearman);
        overlap.extend(measures.overlap);
        if !a.is_empty() {
            same.add(largest(a, 1) == largest(b, 1));
        }
    }
    MethodPair {
        model: first.common.model.clone(),
        first: first.common.method,
        second: second.common.method,
        kind: first.common.kind,
        target: first.common.target.clone(),
        baseline: first.common.baseline.clone(),
        spearman: Estimate::over(&spearman),
        overlap: Estimate::over(&overlap),
        same_strongest: same,
    }
}

fn scored<'a>(scores: &'a [f64], errors: Option<&'a [f64]>) -> Scored<'a> {
    Scored { scores, errors }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    #[test]
    fn methods_are_compared_sample_by_sample_within_a_target_and_baseline() {
        let mut fixture = Fixture::demo();
        let records = &mut fixture.records[0][0];
        assert_eq!(
            pairs(&fixture.project.experiments[0], records),
            [],
            "one method has nothing to agree with"
        );
        for (sample, record) in records.iter_mut().enumerate() {
            for mut map in record.attributions.clone() {
                map.method = Some(Method::GradientXInput);
                if sample == 0 {
                    // The opposite ranks, and no other: what stood first in size still does.
                    map.scores.iter_mut().for_each(|score| *score = -*score);
                }
                record.attributions.push(map);
            }
        }
        let found = pairs(&fixture.project.experiments[0], records);
        assert_eq!(found.len(), 2, "for each of two targets");
        for pair in &found {
            assert_eq!(
                (pair.first, pair.second),
                (Method::IntegratedGradients, Method::GradientXInput)
            );
            let samples = records.len();
            assert_eq!(
                pair.same_strongest,
                Share {
                    count: samples,
                    of: samples
                }
            );
            // 1 for all samples but one, where it is −1.
            let spearman = pair.spearman.unwrap();
            assert!((spearman.mean - (samples as f64 - 2.0) / samples as f64).abs() < 1e-12);
            assert_eq!(pair.overlap.unwrap().mean, 1.0);
        }
    }
}
