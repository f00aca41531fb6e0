//! How far the methods of an experiment agree, model by model: the maps of the same sample, target and baseline.
//!
//! By the words of what the samples are about, as models are compared: weighted by the errors where both maps know
//! theirs (see [`super::agreement`]). Maps that other programs computed are compared in the same way, by what their files
//! say of method and baseline.

use serde::Serialize;

use crate::analysis::agreement::{Scored, agreement, largest};
use crate::analysis::bootstrap::Estimate;
use crate::analysis::groups::{Member, Sorted, common_target, sorted};
use crate::analysis::shared_words::SharedWords;
use crate::analysis::summary::{Share, is_drawable};
use crate::content::experiment::Experiment;
use crate::content::subject::subject_segments;
use crate::store::record::{AttributionRecord, SampleRecord};
use crate::terms::{Baseline, Method, Output, TargetKind};

/// Two methods, over the samples of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodPair {
    /// Id of the model.
    pub model: String,
    /// Name of one method; that of an imported map in the words of its file.
    pub first: String,
    /// Name of the other.
    pub second: String,
    /// What kind of thing both explain.
    pub kind: TargetKind,
    /// What they explain, where that is the same in all samples.
    pub target: Option<String>,
    /// What both compare the input with.
    pub start: Start,
    /// Mean rank correlation of the words.
    pub spearman: Option<Estimate>,
    /// Mean share of the strongest words in common.
    pub overlap: Option<Estimate>,
    /// In how many samples both have the same strongest word.
    pub same_strongest: Share,
}

/// What maps compare the input with, and in which unit: two methods are compared where both have the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Start {
    /// The baseline of our own maps.
    pub baseline: Option<Baseline>,
    /// What the file of imported maps says of it.
    pub stated: Option<String>,
    /// The unit of an imported map's scores, where they are no parts of the output.
    pub unit: Option<String>,
    /// The output that is explained.
    pub output: Output,
}

impl Start {
    fn of(map: &AttributionRecord) -> Self {
        let imported = map.imported.as_ref();
        Self {
            baseline: map.baseline.clone(),
            stated: imported.and_then(|by| by.baseline.clone()),
            unit: imported.and_then(|by| by.unit.clone()),
            output: map.output,
        }
    }
}

/// What tells methods apart ([`AttributionRecord::made_by`]).
type MadeBy<'a> = (Option<Method>, Option<&'a str>, Option<&'a str>);

/// Maps by one method from one start.
type Maps<'a> = Sorted<'a, (MadeBy<'a>, Start)>;

/// Word scores of maps, by sample: with the errors where they are known.
type Words = Vec<Option<(Vec<f64>, Option<Vec<f64>>)>>;

/// Every two methods of a model's records, for each target and baseline that both have.
pub fn pairs(experiment: &Experiment, records: &[SampleRecord]) -> Vec<MethodPair> {
    let all = sorted(records, |map| Some((map.made_by(), Start::of(map))));
    if all.iter().all(|maps| maps.key.0 == all[0].key.0) {
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
    let words: Vec<Words> = all.iter().map(|maps| words_of(maps, &shared)).collect();
    let mut pairs = Vec::new();
    for (second, words_of_second) in all.iter().zip(&words) {
        for (first, words_of_first) in all.iter().zip(&words) {
            if std::ptr::eq(first, second) {
                break;
            }
            let alike = (first.target, &first.key.1) == (second.target, &second.key.1);
            if alike && first.key.0 != second.key.0 {
                let names = [first, second].map(|maps| name(maps, &all));
                pairs.push(pair(names, (first, words_of_first), words_of_second));
            }
        }
    }
    pairs
}

fn words_of(maps: &Maps<'_>, shared: &[(SharedWords, Vec<bool>)]) -> Words {
    let mut words: Words = vec![None; shared.len()];
    for member in &maps.members {
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

/// What a method is called among all of a model: with its program where two programs have a method of that name.
fn name(maps: &Maps<'_>, all: &[Maps<'_>]) -> String {
    let map = maps.members[0].map;
    let (_, tool, method) = maps.key.0;
    let namesake = |other: &Maps<'_>| other.key.0.2 == method && other.key.0.1 != tool;
    match tool {
        Some(tool) if all.iter().any(namesake) => format!("{} ({tool})", map.method_name()),
        _ => map.method_name().to_owned(),
    }
}

fn pair([first_name, second_name]: [String; 2], (first, a): (&Maps<'_>, &Words), b: &Words) -> MethodPair {
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
    let Member { record, map, .. } = first.members[0];
    MethodPair {
        model: record.model.id.clone(),
        first: first_name,
        second: second_name,
        kind: map.target.kind,
        target: common_target(&first.members),
        start: first.key.1.clone(),
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
    use crate::store::record::Imported;

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
                (pair.first.as_str(), pair.second.as_str()),
                (Method::IntegratedGradients.name(), Method::GradientXInput.name())
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

    #[test]
    fn imported_maps_are_compared_by_what_their_files_say() {
        let mut fixture = Fixture::demo();
        let records = &mut fixture.records[0][0];
        let by = |tool: &str, method: &str, baseline: Option<&str>| Imported {
            tool: tool.to_owned(),
            version: None,
            method: method.to_owned(),
            baseline: baseline.map(str::to_owned),
            unit: None,
            note: None,
            file: None,
        };
        for record in &mut *records {
            record.attributions.truncate(1);
            let mut map = record.attributions.remove(0);
            (map.method, map.baseline) = (None, None);
            for imported in [
                by("captum", "Saliency", None),
                by("inseq", "Saliency", None),
                by("captum", "Lime", None),
                by("captum", "DeepLift", Some("padding")),
            ] {
                map.imported = Some(imported);
                record.attributions.push(map.clone());
            }
        }
        let found = pairs(&fixture.project.experiments[0], records);
        let names: Vec<[&str; 2]> = found.iter().map(|pair| [pair.first.as_str(), &pair.second]).collect();
        let captum = "Saliency (captum)";
        let inseq = "Saliency (inseq)";
        // What starts elsewhere is left out.
        assert_eq!(names, [[captum, inseq], [captum, "Lime"], [inseq, "Lime"]]);
        assert!(found.iter().all(|pair| pair.spearman.unwrap().mean > 0.999));
        assert_eq!(found[0].same_strongest.of, records.len());
    }
}
