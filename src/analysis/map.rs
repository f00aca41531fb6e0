//! One map in numbers: how right it is, what its segments hold, and which of its scores are more than noise.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde::Serialize;

use crate::analysis::results::SPECIAL;
use crate::analysis::scale::Scores;
use crate::analysis::summary::{self, State, difference, is_right, relative_delta, relative_routing_residual};
use crate::content::units::Units;
use crate::store::record::{AttributionRecord, SampleRecord};
use crate::terms::{Method, Output, Round, TargetKind, UnitKind};

/// What the numbers of a map say of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// In one word.
    pub state: State,
    /// Whether it is as right as was asked for.
    pub right: bool,
    /// Whether its rule's points were known before it ran.
    pub fixed: bool,
    /// Whether the errors of its scores are known.
    pub has_errors: bool,
    /// The largest standard error of a unit's score, where the method knows them.
    pub largest_error: Option<f64>,
    /// |F(x) − F(x′) − Σφ| as a share of |F(x) − F(x′)|.
    pub relative_residual: Option<f64>,
    /// F(input) − F(baseline).
    pub difference: Option<f64>,
    /// |delta| as a share of |F(input) − F(baseline)|.
    pub relative_delta: Option<f64>,
    /// |routing residual| as a share of the same; none where experts do not change by themselves.
    pub relative_routing_residual: Option<f64>,
    /// Whether it fails the margin check by its own fault ([`summary::misses_margin_by_delta`]).
    pub margin_by_delta: bool,
}

impl Quality {
    /// Of a map.
    pub fn of(attribution: &AttributionRecord) -> Self {
        Self {
            state: State::of(attribution),
            right: is_right(attribution),
            fixed: attribution.has_fixed_rule(),
            has_errors: errors(attribution).is_some(),
            largest_error: attribution
                .unit_errors
                .as_ref()
                .and_then(|errors| errors.iter().copied().reduce(f64::max)),
            relative_residual: relative_residual(attribution),
            difference: difference(attribution),
            relative_delta: relative_delta(attribution),
            relative_routing_residual: relative_routing_residual(attribution),
            margin_by_delta: summary::misses_margin_by_delta(attribution),
        }
    }
}

/// |F(x) − F(x′) − Σφ| as a share of |F(x) − F(x′)|.
fn relative_residual(attribution: &AttributionRecord) -> Option<f64> {
    let residual = attribution.residual?;
    let change = (attribution.f_input? - residual.f_baseline).abs();
    Some(residual.value.abs() / change).filter(|share| share.is_finite())
}

/// The errors of a map's scores, one a token, where the method knows them. The standard error of a unit is shared out
/// among its tokens as its score is: evenly.
pub fn errors(attribution: &AttributionRecord) -> Option<Cow<'_, [f64]>> {
    if let Some(errors) = &attribution.errors {
        return Some(Cow::Borrowed(errors));
    }
    let (units, errors) = (attribution.unit_tokens.as_ref()?, attribution.unit_errors.as_ref()?);
    let mut shared = vec![0.0; attribution.scores.len()];
    for (tokens, error) in units.iter().zip(errors) {
        for &token in tokens {
            *shared.get_mut(token)? = error / tokens.len() as f64;
        }
    }
    Some(Cow::Owned(shared))
}

/// What F becomes when a unit of the prompt is replaced, as occlusion computed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Without {
    /// What is replaced at a time.
    pub units: UnitKind,
    /// The first token of each unit, and F without the unit.
    pub values: Vec<(usize, f64)>,
}

/// F without each unit, for a map of any method: by the occlusion of the same record for the same target from the same
/// baseline. None where there is none.
pub fn without(attribution: &AttributionRecord, record: &SampleRecord) -> Option<Without> {
    let mut others = record.attributions.iter();
    let occlusion =
        others.find(|other| other.method == Some(Method::Occlusion) && explain_the_same(other, attribution))?;
    let (tokens, scores) = (occlusion.unit_tokens.as_ref()?, occlusion.unit_scores.as_ref()?);
    let f_input = occlusion.f_input?;
    let of = |(tokens, score): (&Vec<usize>, &f64)| Some((*tokens.first()?, f_input - score));
    Some(Without {
        units: occlusion.units?,
        values: tokens.iter().zip(scores).filter_map(of).collect(),
    })
}

/// Whether two maps explain the same number by what it is at the same baseline, be it by different methods.
pub fn explain_the_same(a: &AttributionRecord, b: &AttributionRecord) -> bool {
    let foreign = |map: &AttributionRecord| map.imported.as_ref().map(|by| (by.baseline.clone(), by.unit.clone()));
    (&a.target.token_ids, &a.baseline, a.output, is_contrast(a))
        == (&b.target.token_ids, &b.baseline, b.output, is_contrast(b))
        && foreign(a) == foreign(b)
}

fn is_contrast(attribution: &AttributionRecord) -> bool {
    attribution.target.kind == TargetKind::Contrast
}

/// A state of the estimate on its way, as the record has it, with its delta in proportion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RoundInProportion {
    /// As the record has it.
    #[serde(flatten)]
    pub round: Round,
    /// |delta| as a share of |F(input) − F(baseline)|.
    pub relative_delta: Option<f64>,
}

/// How the estimate of a map came about.
pub fn rounds(attribution: &AttributionRecord) -> Vec<RoundInProportion> {
    let change = difference(attribution).map(f64::abs);
    let relative = |round: &Round| Some(round.convergence_delta.abs() / change?).filter(|share| share.is_finite());
    let rounds = attribution.history.iter();
    rounds
        .map(|round| RoundInProportion {
            round: *round,
            relative_delta: relative(round),
        })
        .collect()
}

/// The maps of a record, those of the same method, tokens and baseline once, each with the kinds of target that it is
/// the map of.
pub fn distinct(attributions: &[AttributionRecord]) -> Vec<(Vec<&str>, &AttributionRecord)> {
    let mut maps: Vec<(Vec<&str>, &AttributionRecord)> = Vec::new();
    for a in attributions {
        let same = |(_, b): &&mut (Vec<&str>, &AttributionRecord)| {
            (a.method, &a.imported) == (b.method, &b.imported)
                && (a.imported.is_none() || a.target.text == b.target.text)
                && explain_the_same(a, b)
        };
        match maps.iter_mut().find(same) {
            Some((kinds, _)) => kinds.push(a.target.kind.word()),
            None => maps.push((vec![a.target.kind.word()], a)),
        }
    }
    maps
}

/// Characters of a target's text that a heading has room for; a longer one is shown whole, below.
pub const HEADING: usize = 60;

/// Whether the maps of a record say more than a sample's page has room for: several targets, baselines or methods, a
/// test, a long text that is explained, the model's own words.
pub fn needs_a_page(record: &SampleRecord) -> bool {
    let maps = &record.attributions;
    let of_text =
        |map: &AttributionRecord| map.target.kind == TargetKind::Generated || map.target.text.chars().count() > HEADING;
    distinct(maps).len() > 1
        || record.generation.is_some()
        || maps.iter().any(|map| !map.faithfulness.is_empty() || of_text(map))
}

/// The probability of what is explained, where that is one answer, and the record knows it.
pub fn target_probability(attribution: &AttributionRecord, record: &SampleRecord) -> Option<f64> {
    let behind_more = attribution.target.given.is_some() && attribution.output == Output::Logit;
    if attribution.target.kind == TargetKind::Contrast || behind_more {
        return None;
    }
    if attribution.imported.is_some() {
        // What the file says of F, without a word on what else it knows.
        return attribution
            .f_input
            .filter(|_| attribution.output == Output::Probability);
    }
    let token = *attribution.target.token_ids.first()?;
    let known = record.prediction.as_ref();
    match attribution.output {
        Output::Probability => attribution.f_input,
        Output::LogProbability => attribution.f_input.map(f64::exp),
        Output::Logit if known.is_some_and(|known| known.token_id == token) => known.map(|known| known.probability),
        Output::Logit => record
            .options
            .values()
            .find(|option| option.token_id == token)
            .map(|option| option.probability),
    }
}

/// What the notebook's check holds against its margin: |sum − probability|.
pub fn margin_distance(attribution: &AttributionRecord, record: &SampleRecord) -> Option<f64> {
    let probability = target_probability(attribution, record)?;
    Some((attribution.sum? - probability).abs())
}

/// The sum of a segment's scores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentSum {
    /// Its name.
    pub name: String,
    /// The sum of its scores.
    pub score: f64,
    /// The errors of its tokens together, where they are known.
    pub error: Option<f64>,
    /// Its share of the sum of |word score|; none where all scores are zero.
    pub share: Option<f64>,
}

/// A sum a segment, special tokens last; segments of one name, such as the pieces of a chat template, are one.
pub fn segments(units: &Units, scores: &Scores, errors: Option<&Scores>) -> Vec<SegmentSum> {
    let shares = summary::segment_shares(units, &scores.words);
    let names = units.segments.iter().map(|segment| segment.name.as_str());
    let sums = scores.segments.units.iter().chain([&scores.segments.outside]);
    let mut by_name: IndexMap<&str, (f64, f64, f64)> = IndexMap::new();
    for (index, (name, score)) in names.chain([SPECIAL]).zip(sums).enumerate() {
        let errors = errors.map(|errors| &errors.segments);
        let error = errors.map(|sums| *sums.units.get(index).unwrap_or(&sums.outside));
        let sum = by_name.entry(name).or_default();
        sum.0 += score;
        sum.1 += error.unwrap_or_default();
        sum.2 += shares.as_ref().map_or(0.0, |shares| shares[index]);
    }
    let sum = |(name, (score, error, share)): (&str, (f64, f64, f64))| SegmentSum {
        name: if name.is_empty() { "(unnamed)" } else { name }.to_owned(),
        score,
        error: errors.map(|_| error),
        share: shares.as_ref().map(|_| share),
    };
    by_name.into_iter().map(sum).collect()
}

/// Which scores of a map are more than noise.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// Score and error of each token.
    pub points: Vec<(f64, f64)>,
    /// Tokens whose |score| is above their error.
    pub above: usize,
    /// Their share of the sum of |score|; none where all scores are zero.
    pub share: Option<f64>,
}

/// The scores of a map against their errors; none where these are unknown.
pub fn noise(attribution: &AttributionRecord) -> Option<Noise> {
    let errors = errors(attribution)?;
    let points: Vec<(f64, f64)> = attribution.scores.iter().copied().zip(errors.iter().copied()).collect();
    let is_above = |(score, error): &&(f64, f64)| score.abs() > *error;
    let sum = |points: &mut dyn Iterator<Item = &(f64, f64)>| points.map(|(score, _)| score.abs()).sum::<f64>();
    let (total, above) = (sum(&mut points.iter()), sum(&mut points.iter().filter(is_above)));
    // A score that is no number is neither above its error nor within it; it counts as above, as on the plot.
    let within = points.iter().filter(|(score, error)| score.abs() <= *error).count();
    Some(Noise {
        above: points.len() - within,
        share: (total > 0.0).then(|| above / total),
        points,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;
    use crate::terms::{Baseline, Method};

    #[test]
    fn the_map_of_two_targets_with_the_same_tokens_is_one() {
        let mut record = fixture::records("tiny", 1).remove(0);
        let mut second = record.attributions[0].clone();
        second.target.kind = TargetKind::Token;
        let mut contrast = second.clone();
        contrast.target.kind = TargetKind::Contrast;
        let mut elsewhere = second.clone();
        elsewhere.baseline = Some(Baseline::Mean);
        let mut otherwise = second.clone();
        otherwise.method = Some(Method::GradientXInput);
        record.attributions.truncate(1);
        record.attributions.extend([second, contrast, elsewhere, otherwise]);
        let first = record.attributions[0].target.kind.word();
        let kinds: Vec<Vec<&str>> = distinct(&record.attributions)
            .into_iter()
            .map(|(kinds, _)| kinds)
            .collect();
        assert_eq!(
            kinds,
            [vec![first, "token"], vec!["contrast"], vec!["token"], vec!["token"]]
        );
    }

    #[test]
    fn a_single_map_needs_no_page_of_its_own() {
        let mut record = fixture::records("tiny", 1).remove(0);
        record.attributions.truncate(1);
        (record.generation, record.attributions[0].faithfulness) = (None, vec![]);
        assert!(!needs_a_page(&record));
        let mut long = record.clone();
        long.attributions[0].target.text = "a".repeat(HEADING + 1);
        let mut other = record.clone();
        other.attributions.push(AttributionRecord {
            baseline: Some(Baseline::Mean),
            ..record.attributions[0].clone()
        });
        let mut tested = record;
        tested.generation = Some(crate::store::record::Generation {
            prompt: String::new(),
            text: "Since".into(),
            token_ids: vec![1],
            max_new_tokens: 1,
            ended: false,
        });
        assert!([long, other, tested].iter().all(needs_a_page));
    }

    #[test]
    fn segments_add_up_to_the_map_and_their_shares_to_one() {
        let record = &fixture::records("tiny", 1)[0];
        let units = Units::of(&record.prompt, &record.segments);
        let assignment = units.assign(&record.prompt, &record.tokens);
        let map = &record.attributions[0];
        let scores = Scores::of(&units, &assignment, &map.scores);
        let errors = Scores::of(&units, &assignment, &vec![0.5; map.scores.len()]);
        let sums = segments(&units, &scores, Some(&errors));
        let total = |of: fn(&SegmentSum) -> f64| sums.iter().map(of).sum::<f64>();
        assert!((total(|s| s.score) - map.scores.iter().sum::<f64>()).abs() < 1e-9);
        assert!((total(|s| s.error.expect("known")) - 0.5 * map.scores.len() as f64).abs() < 1e-9);
        assert!((total(|s| s.share.expect("scores")) - 1.0).abs() < 1e-9);
        assert_eq!(sums.last().map(|sum| sum.name.as_str()), Some(SPECIAL));
        assert!(segments(&units, &scores, None).iter().all(|sum| sum.error.is_none()));
    }

    #[test]
    fn a_score_within_its_error_is_noise() {
        let mut map = fixture::records("tiny", 1).remove(0).attributions.remove(0);
        assert_eq!(map.errors, None);
        assert_eq!(noise(&map), None);
        map.scores = vec![1.0, -3.0, 0.5];
        map.errors = Some(vec![1.0, 1.0, 0.1]);
        let noise = noise(&map).expect("errors");
        assert_eq!((noise.above, noise.share), (2, Some(3.5 / 4.5)));
    }

    #[test]
    fn the_error_of_a_unit_is_shared_out_as_its_score_is() {
        let mut map = fixture::records("tiny", 1).remove(0).attributions.remove(0);
        map.scores = vec![0.0, 0.5, 0.5, 3.0];
        map.unit_tokens = Some(vec![vec![1, 2], vec![3]]);
        assert_eq!(errors(&map), None);
        map.unit_errors = Some(vec![0.25, 0.125]);
        assert_eq!(errors(&map).as_deref(), Some(&[0.0, 0.125, 0.125, 0.125][..]));
        assert_eq!(Quality::of(&map).largest_error, Some(0.25));
        // Of a path integral they are its own.
        map.errors = Some(vec![1.0; 4]);
        assert_eq!(errors(&map).as_deref(), Some(&[1.0; 4][..]));
    }

    #[test]
    fn what_f_becomes_without_a_unit_is_read_from_the_occlusion_of_the_same_map() {
        let mut record = fixture::records("tiny", 1).remove(0);
        let map = record.attributions[0].clone();
        assert_eq!(without(&map, &record), None);
        let mut occlusion = map.clone();
        occlusion.method = Some(Method::Occlusion);
        (occlusion.units, occlusion.f_input) = (Some(UnitKind::Word), Some(0.75));
        occlusion.unit_tokens = Some(vec![vec![1, 2], vec![4]]);
        occlusion.unit_scores = Some(vec![0.5, -0.125]);
        record.attributions.push(occlusion);
        let values = vec![(1, 0.25), (4, 0.875)];
        assert_eq!(
            without(&map, &record),
            Some(Without {
                units: UnitKind::Word,
                values
            })
        );
        let elsewhere = AttributionRecord {
            baseline: Some(Baseline::Mean),
            ..map
        };
        assert_eq!(without(&elsewhere, &record), None);
    }

    #[test]
    fn the_margin_is_held_against_the_probability_of_the_target() {
        let mut record = fixture::records("tiny", 1).remove(0);
        let mut map = record.attributions[0].clone();
        (map.output, map.f_input, map.sum) = (Output::Probability, Some(0.5), Some(0.25));
        assert_eq!(margin_distance(&map, &record), Some(0.25));
        (map.output, map.f_input) = (Output::LogProbability, Some(0.5_f64.ln()));
        assert!((target_probability(&map, &record).expect("known") - 0.5).abs() < 1e-12);
        map.output = Output::Logit;
        let prediction = record.prediction.as_mut().expect("a prediction");
        prediction.probability = 0.75;
        prediction.token_id = map.target.token_ids[0];
        assert_eq!(target_probability(&map, &record), Some(0.75));
        map.target.kind = TargetKind::Contrast;
        assert_eq!(margin_distance(&map, &record), None);
    }

    #[test]
    fn the_delta_of_a_round_is_in_proportion_to_the_change() {
        let mut map = fixture::records("tiny", 1).remove(0).attributions.remove(0);
        (map.f_input, map.f_baseline) = (Some(0.75), Some(0.25));
        map.history = vec![Round {
            evaluations: 3,
            error_estimate: None,
            convergence_delta: -0.25,
        }];
        assert_eq!(rounds(&map)[0].relative_delta, Some(0.5));
        map.f_input = map.f_baseline;
        assert_eq!(rounds(&map)[0].relative_delta, None);
    }
}
