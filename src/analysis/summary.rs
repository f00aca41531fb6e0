//! Headline numbers of a model over an experiment's samples.
//!
//! A share always carries how many it is a share of, and accuracy its interval, so that a page cannot show one without
//! the other. Marked records (a value along the path was not finite) count as maps that miss every bar. All of it is
//! serialised for templates as it is: a share as `count`, `of`, `value` and `interval`, a mean as `value` and `of`.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::analysis::calibration;
use crate::content::units::{Level, UnitScores, Units};
use crate::store::record::{AttributionRecord, SampleRecord, chosen};
use crate::terms::Method;

/// Where F(input) and F(baseline) are all but equal, the adaptive rule takes this share of the map's L1 norm for their
/// difference, and so does [`is_incomplete`].
const SMALL_CHANGE: f64 = 0.01;

/// `count` of `of`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many.
    pub count: usize,
    /// Of how many.
    pub of: usize,
}

impl Share {
    /// Counts one more case.
    pub fn add(&mut self, is: bool) {
        self.count += usize::from(is);
        self.of += 1;
    }

    /// The share; none of nothing.
    pub fn value(self) -> Option<f64> {
        (self.of > 0).then(|| self.count as f64 / self.of as f64)
    }

    /// Wilson's 95% score interval: sound for few samples and for shares near 0 and 1, where the usual one is not.
    pub fn wilson(self) -> Option<(f64, f64)> {
        const Z: f64 = 1.959_963_984_540_054;
        let (p, n) = (self.value()?, self.of as f64);
        let centre = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let norm = 1.0 + Z * Z / n;
        Some((((centre - half) / norm).max(0.0), ((centre + half) / norm).min(1.0)))
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut share = serializer.serialize_struct("Share", 4)?;
        share.serialize_field("count", &self.count)?;
        share.serialize_field("of", &self.of)?;
        share.serialize_field("value", &self.value())?;
        share.serialize_field("interval", &self.wilson())?;
        share.end()
    }
}

/// A mean that knows how many values it is of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    sum: f64,
    /// Of how many values.
    pub of: usize,
}

impl Mean {
    /// Adds a value, if there is one and it is finite.
    pub fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value.filter(|v| v.is_finite()) {
            self.sum += value;
            self.of += 1;
        }
    }

    /// The mean; none of nothing.
    pub fn value(self) -> Option<f64> {
        (self.of > 0).then(|| self.sum / self.of as f64)
    }
}

impl Serialize for Mean {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut mean = serializer.serialize_struct("Mean", 2)?;
        mean.serialize_field("value", &self.value())?;
        mean.serialize_field("of", &self.of)?;
        mean.end()
    }
}

/// The attribution that maps show first (first target, first baseline), unless it is marked as not finite.
pub fn shown(record: &SampleRecord) -> Option<&AttributionRecord> {
    record.attributions.first().filter(|a| is_drawable(a, record))
}

/// Whether a map may be drawn: not marked, one finite score a token.
pub fn is_drawable(attribution: &AttributionRecord, record: &SampleRecord) -> bool {
    attribution.non_finite.is_none()
        && attribution.scores.len() == record.tokens.len()
        && attribution.scores.iter().all(|score| score.is_finite())
}

/// Whether a map is as right as was asked for, as far as its method can tell: nothing speaks against one without such a
/// test.
pub fn is_right(attribution: &AttributionRecord) -> bool {
    let is_there = attribution.non_finite.is_none() && attribution.absent.is_none();
    attribution.converged != Some(false) && is_there && !is_incomplete(attribution)
}

/// Whether a map is numerically exact, as far as its rule can tell; none of maps without a test of that, which count for
/// neither. Every count of exact maps is made of this.
pub fn exactness(attribution: &AttributionRecord) -> Option<bool> {
    let is_tested = attribution.absent.is_none() && attribution.within_tolerance.is_some();
    is_tested.then(|| is_right(attribution))
}

/// How many of these maps are numerically exact, of those that have a test ([`exactness`]).
pub fn exact<'a>(maps: impl IntoIterator<Item = &'a AttributionRecord>) -> Share {
    let mut share = Share::default();
    maps.into_iter()
        .filter_map(exactness)
        .for_each(|exact| share.add(exact));
    share
}

/// Whether an integral converged, and its scores miss F(input) − F(baseline) all the same: F jumps by more than the rule
/// allows of a delta where the choice of experts changes, and no scores sum to a jump.
pub fn is_incomplete(attribution: &AttributionRecord) -> bool {
    let Some(((routing, tolerance), difference)) = attribution
        .routing
        .zip(attribution.tolerance)
        .zip(difference(attribution))
    else {
        return false;
    };
    let norm: f64 = attribution.scores.iter().map(|score| score.abs()).sum();
    attribution.converged == Some(true)
        && !attribution.has_fixed_rule()
        && routing.residual.abs() > tolerance * difference.abs().max(SMALL_CHANGE * norm)
}

/// How right a map is, in one word that claims no more than its rule can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There is no map: the model generated nothing to explain.
    Absent,
    /// A value along the path was not finite: the record is marked, and no map is drawn.
    NotFinite,
    /// Another program computed it, and igsite did not test it.
    Imported,
    /// The method has no test of its own.
    Untested,
    /// Each score is what F loses, as computed; nothing makes them add up.
    ExactAlone,
    /// The scores add up to F(x) − F(x′) exactly, and each has a standard error.
    AddsUp,
    /// Not converged, and no number of points would do: more of a path from the zero vector than the tolerance lies
    /// where the input is all but gone.
    LostNearZero,
    /// The adaptive rule stopped before it reached the tolerance.
    NotConverged,
    /// The delta of a fixed rule is above the tolerance.
    MissesTolerance,
    /// The delta is within tolerance, the error estimate is not.
    ErrorAboveTolerance,
    /// Not converged, and no error is known.
    ErrorUnknown,
    /// The delta is within tolerance, and no error is known.
    DeltaWithinTolerance,
    /// A fixed rule with an error estimate: both are within tolerance.
    ErrorAndDeltaWithinTolerance,
    /// The adaptive rule reached its tolerance, and F jumps by more than that where the choice of experts changes.
    Incomplete,
    /// The adaptive rule reached its tolerance.
    Converged,
}

impl State {
    /// Of a map.
    pub fn of(attribution: &AttributionRecord) -> Self {
        let fixed = attribution.has_fixed_rule();
        let has_error = attribution.error_estimate.is_some();
        if attribution.absent.is_some() {
            Self::Absent
        } else if attribution.non_finite.is_some() {
            Self::NotFinite
        } else if attribution.imported.is_some() {
            Self::Imported
        } else if attribution.converged.is_none() {
            match attribution.method {
                Some(Method::Occlusion) => Self::ExactAlone,
                Some(Method::Shapley) => Self::AddsUp,
                _ => Self::Untested,
            }
        } else if attribution.converged == Some(false) && is_lost_near_zero(attribution) {
            Self::LostNearZero
        } else if attribution.converged == Some(false) && !fixed {
            Self::NotConverged
        } else if attribution.within_tolerance == Some(false) && fixed {
            Self::MissesTolerance
        } else if attribution.converged == Some(false) && has_error {
            Self::ErrorAboveTolerance
        } else if attribution.converged == Some(false) {
            Self::ErrorUnknown
        } else if !has_error {
            Self::DeltaWithinTolerance
        } else if fixed {
            Self::ErrorAndDeltaWithinTolerance
        } else if is_incomplete(attribution) {
            Self::Incomplete
        } else {
            Self::Converged
        }
    }
}

/// Whether more than the tolerance of a map, or of what F changes by, lies at the lowest of the levels that are told
/// apart on a path from the zero vector: where the input is a billionth of itself.
fn is_lost_near_zero(attribution: &AttributionRecord) -> bool {
    let Some(((lowest, tolerance), None)) = attribution
        .below
        .last()
        .zip(attribution.tolerance)
        .map(|both| (both, attribution.from))
    else {
        return false;
    };
    let moved = lowest
        .change
        .zip(difference(attribution))
        .is_some_and(|(change, difference)| change.abs() > tolerance * difference.abs());
    moved || lowest.share.is_some_and(|share| share > tolerance)
}

/// Whether a map fails the notebook's check, that its sum is within a margin of the probability.
pub fn misses_margin(attribution: &AttributionRecord) -> bool {
    attribution.within_margin == Some(false)
}

/// Whether it fails that check by its own fault. The sum less the probability is the delta less F(baseline): where the
/// delta is the smaller of the two, the check measures F(baseline) and says nothing of the map.
pub fn misses_margin_by_delta(attribution: &AttributionRecord) -> bool {
    let delta_is_larger = attribution
        .convergence_delta
        .zip(attribution.f_baseline)
        .is_none_or(|(delta, baseline)| delta.abs() >= baseline.abs());
    misses_margin(attribution) && delta_is_larger
}

/// The option that the model predicts.
pub fn predicted_option(record: &SampleRecord) -> Option<&str> {
    chosen(
        &record.options,
        record.prediction.as_ref().map(|prediction| prediction.token_id),
    )
}

/// The probability of the model's answer: of the predicted option, where options are several tokens, else of the
/// predicted token; none where an imported record does not tell it.
pub fn answer_probability(record: &SampleRecord) -> Option<f64> {
    let several = record.options.values().any(|option| !option.token_ids.is_empty());
    let option = predicted_option(record).filter(|_| several);
    match option {
        Some(letter) => Some(record.options[letter].probability),
        None => record.prediction.as_ref().map(|prediction| prediction.probability),
    }
}

/// F(input) − F(baseline).
pub fn difference(attribution: &AttributionRecord) -> Option<f64> {
    Some(attribution.f_input? - attribution.f_baseline?)
}

/// |delta| as a share of |F(input) − F(baseline)|.
pub fn relative_delta(attribution: &AttributionRecord) -> Option<f64> {
    let share = attribution.convergence_delta?.abs() / difference(attribution)?.abs();
    Some(share).filter(|share| share.is_finite())
}

/// |routing residual| as a share of |F(input) − F(baseline)|; none where experts do not change by themselves.
pub fn relative_routing_residual(attribution: &AttributionRecord) -> Option<f64> {
    let routing = attribution.routing.filter(|routing| routing.routing.is_free())?;
    Some(routing.residual.abs() / difference(attribution)?.abs()).filter(|share| share.is_finite())
}

/// A model's numbers over the samples of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelSummary {
    /// Samples with a record.
    pub samples: usize,
    /// Right predictions, of the samples with a right answer.
    pub accuracy: Share,
    /// Probability of the right option.
    pub right_probability: Mean,
    /// Probability of the prediction, over the samples that `accuracy` counts.
    pub confidence: Mean,
    /// Mean confidence minus accuracy: above 0 for a model that is surer than it is right.
    pub overconfidence: Option<f64>,
    /// The expected calibration error over the same samples.
    pub calibration_error: Option<f64>,
    /// Maps (all targets and baselines) whose delta is within tolerance.
    pub within_tolerance: Share,
    /// Maps that reached their tolerance: by the error estimate, where there is one, and by the delta. Incomplete maps
    /// do not count.
    pub converged: Share,
    /// The median error estimate, of the maps that have one.
    pub median_error: Option<f64>,
    /// Maps that pass the notebook's check, of those it applies to.
    pub within_margin: Share,
    /// Maps that are marked: a value along the path was not finite.
    pub marked: usize,
    /// Maps that are no more than incomplete: the integral converged, but F jumps where the choice of experts changes.
    pub incomplete: usize,
    /// Evaluations a map.
    pub evaluations: Mean,
    /// |delta| relative to |F(input) − F(baseline)|, the largest of all maps.
    pub worst_delta: Option<f64>,
    /// Seconds a sample.
    pub seconds: Mean,
}

impl ModelSummary {
    /// Sums up a model's records.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a SampleRecord>) -> Self {
        let mut summary = Self::default();
        let (mut answers, mut errors) = (Vec::new(), Vec::new());
        for record in records {
            summary.samples += 1;
            if let Some(correct) = record.correct {
                summary.accuracy.add(correct);
                let probability = answer_probability(record);
                summary.confidence.add(probability);
                answers.extend(probability.map(|probability| (probability, correct)));
            }
            let gold = record.sample.gold.as_ref().and_then(|gold| record.options.get(gold));
            summary.right_probability.add(gold.map(|option| option.probability));
            summary.seconds.add(record.provenance.as_ref().map(|made| made.seconds));
            for attribution in record.attributions.iter().filter(|a| a.absent.is_none()) {
                // Maps of methods without a test are no share of those that pass it.
                if let Some(within) = attribution.within_tolerance {
                    summary.within_tolerance.add(within && attribution.non_finite.is_none());
                }
                exactness(attribution)
                    .into_iter()
                    .for_each(|exact| summary.converged.add(exact));
                errors.extend(attribution.error_estimate);
                if let Some(within) = attribution.within_margin {
                    summary.within_margin.add(within);
                }
                summary.marked += usize::from(attribution.non_finite.is_some());
                summary.incomplete += usize::from(State::of(attribution) == State::Incomplete);
                // What another program spent, and what its numbers come to, is no work of igsite's.
                if attribution.imported.is_some() {
                    continue;
                }
                // One pass of gradient × input beside hundreds of an integral has no mean that says anything: those of the
                // first method, which pages with several models show.
                if record.attributions.first().map(|first| first.method) == Some(attribution.method) {
                    summary.evaluations.add(Some(attribution.evaluations as f64));
                }
                if let Some(delta) = relative_delta(attribution) {
                    summary.worst_delta = Some(summary.worst_delta.map_or(delta, |worst| worst.max(delta)));
                }
            }
        }
        summary.calibration_error = calibration::expected_error(&calibration::bins(
            answers.iter().copied(),
            calibration::bin_count(answers.len()),
        ));
        summary.median_error = median(&errors);
        let (confidence, accuracy) = (summary.confidence.value(), summary.accuracy.value());
        summary.overconfidence = confidence
            .zip(accuracy)
            .map(|(confidence, accuracy)| confidence - accuracy);
        summary
    }
}

/// The median: the mean of the middle two of an even number.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(lower + (upper - lower) / 2.0)
}

/// Share of the samples for which all models give the same answer; of fewer than two models, nothing.
pub fn same_answer(records: &[Vec<SampleRecord>]) -> Share {
    let mut share = Share::default();
    if records.len() < 2 {
        return share;
    }
    for sample in 0..records.iter().map(Vec::len).min().unwrap_or(0) {
        let of_sample = || records.iter().map(move |model| &model[sample]);
        // Imported records may not tell what their model answers.
        if of_sample().all(|record| answer(record).is_some()) {
            share.add(gives_same_answer(of_sample()));
        }
    }
    share
}

/// Whether all of these records predict the same option (the same text, where a prediction is no option).
pub fn gives_same_answer<'a>(records: impl IntoIterator<Item = &'a SampleRecord>) -> bool {
    let mut answers = records.into_iter().map(answer);
    let Some(first) = answers.next() else { return true };
    answers.all(|answer| answer == first)
}

/// What a model answers: the option's letter, or the predicted token's text trimmed of white space; none where an
/// imported record does not tell it.
pub fn answer(record: &SampleRecord) -> Option<&str> {
    let predicted = || record.prediction.as_ref().map(|prediction| prediction.text.trim());
    predicted_option(record).or_else(predicted)
}

/// The same as pages write it.
pub fn answer_text(record: &SampleRecord) -> &str {
    answer(record).unwrap_or("no answer told")
}

/// Share of the sum of |word score| that each segment holds, and special tokens last.
pub fn segment_shares(units: &Units, words: &UnitScores) -> Option<Vec<f64>> {
    let magnitudes = UnitScores {
        units: words.units.iter().map(|s| s.abs()).collect(),
        outside: words.outside.abs(),
    };
    let sums = units.sum(Level::Segment, &magnitudes);
    let total = sums.units.iter().sum::<f64>() + sums.outside;
    (total > 0.0).then(|| {
        sums.units
            .iter()
            .chain([&sums.outside])
            .map(|sum| sum / total)
            .collect()
    })
}

/// How often each gold option was answered by each option; the last column counts answers that are no option.
pub fn confusion<'a>(letters: &[&str], records: impl IntoIterator<Item = &'a SampleRecord>) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; letters.len() + 1]; letters.len()];
    for record in records {
        let row = record
            .sample
            .gold
            .as_deref()
            .and_then(|gold| letters.iter().position(|letter| *letter == gold));
        let column = predicted_option(record).and_then(|given| letters.iter().position(|letter| *letter == given));
        if let Some(row) = row {
            counts[row][column.unwrap_or(letters.len())] += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    #[test]
    fn wilsons_interval_has_its_known_values() {
        // 8 of 10: (0.4902, 0.9433); 0 of 10: (0, 0.2775): Brown, Cai, DasGupta 2001, formula (4).
        let (low, high) = Share { count: 8, of: 10 }.wilson().expect("samples");
        assert!(
            (low - 0.490_162).abs() < 1e-5 && (high - 0.943_318).abs() < 1e-5,
            "{low} {high}"
        );
        let (low, high) = Share { count: 0, of: 10 }.wilson().expect("samples");
        assert!(low == 0.0 && (high - 0.277_533).abs() < 1e-5, "{low} {high}");
        assert_eq!(Share::default().wilson(), None);
    }

    #[test]
    fn a_summary_counts_what_the_records_say() {
        let records = fixture::records("tiny", 3);
        let summary = ModelSummary::of(&records);
        assert_eq!(summary.samples, 3);
        assert_eq!(summary.accuracy.of, 3);
        assert_eq!(
            summary.accuracy.count,
            records.iter().filter(|r| r.correct == Some(true)).count()
        );
        assert_eq!(
            summary.within_tolerance.of,
            records.iter().map(|r| r.attributions.len()).sum::<usize>()
        );
    }

    #[test]
    fn a_marked_map_misses_the_bar_and_is_not_drawn() {
        let mut record = fixture::records("tiny", 1).remove(0);
        fixture::mark_non_finite(&mut record);
        assert!(shown(&record).is_none());
        let summary = ModelSummary::of([&record]);
        assert_eq!(summary.within_tolerance.count, 0);
        assert_eq!(summary.marked, summary.within_tolerance.of);
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 8.0]), Some(3.0));
    }

    #[test]
    fn confusion_counts_each_record_with_a_gold_answer_once() {
        let mut records = fixture::records("tiny", 6);
        records[0].prediction.as_mut().expect("a prediction").token_id = 999_999;
        let counts = confusion(&["A", "B", "C", "D", "E", "F"], &records);
        assert_eq!(counts.iter().flatten().sum::<usize>(), 6);
        assert_eq!(counts.iter().map(|row| row[6]).sum::<usize>(), 1);
        assert_eq!(predicted_option(&records[0]), None);
    }

    #[test]
    fn shares_of_segments_add_up_to_one() {
        let record = &fixture::records("tiny", 1)[0];
        let units = Units::of(&record.prompt, &record.segments);
        let words = units.word_scores(
            &units.assign(&record.prompt, &record.tokens),
            &record.attributions[0].scores,
        );
        let shares = segment_shares(&units, &words).expect("a map");
        assert_eq!(shares.len(), units.segments.len() + 1);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
