//! Whether a model is as sure as it is right: answers sorted into bins by their probability.
//!
//! The bins are of equal width, as in reliability diagrams since DeGroot and Fienberg (1983). The expected calibration
//! error is the mean distance between confidence and accuracy of the bins, weighted by how many answers each holds
//! (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017). Of few answers it comes out too large, since a bin of one
//! answer is always wrong or right: pages say how many answers each bin has.

use crate::analysis::summary::{Mean, Share, answer_probability};
use crate::store::record::SampleRecord;

/// Answers whose probability lies between two bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// From here on.
    pub low: f64,
    /// Up to here; the last bin holds its end too.
    pub high: f64,
    /// Their mean probability.
    pub confidence: Mean,
    /// How many are right.
    pub accuracy: Share,
}

/// Bins that fit a number of answers: ten as in the literature, five where each would hold next to nothing.
pub fn bin_count(answers: usize) -> usize {
    if answers < 200 { 5 } else { 10 }
}

/// Answers by their probability in `count` bins; empty bins are left out.
pub fn bins(answers: impl IntoIterator<Item = (f64, bool)>, count: usize) -> Vec<Bin> {
    let count = count.max(1);
    let bound = |index: usize| index as f64 / count as f64;
    let mut bins: Vec<Bin> = (0..count)
        .map(|index| Bin {
            low: bound(index),
            high: bound(index + 1),
            ..Bin::default()
        })
        .collect();
    for (confidence, right) in answers.into_iter().filter(|(confidence, _)| confidence.is_finite()) {
        let bin = &mut bins[((confidence.max(0.0) * count as f64) as usize).min(count - 1)];
        bin.confidence.add(Some(confidence));
        bin.accuracy.add(right);
    }
    bins.retain(|bin| bin.accuracy.of > 0);
    bins
}

/// The bins of a model's answers to samples with a right answer.
pub fn of_records(records: &[SampleRecord]) -> Vec<Bin> {
    let answers = || {
        records
            .iter()
            .filter_map(|record| Some((answer_probability(record)?, record.correct?)))
    };
    bins(answers(), bin_count(answers().count()))
}

/// The expected calibration error.
pub fn expected_error(bins: &[Bin]) -> Option<f64> {
    let mut sum = Share::default();
    let mut off = 0.0;
    for bin in bins {
        off += bin.accuracy.of as f64 * (bin.confidence.value()? - bin.accuracy.value()?).abs();
        sum.of += bin.accuracy.of;
    }
    (sum.of > 0).then(|| off / sum.of as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_fall_into_the_bin_of_their_probability() {
        let found = bins([(0.1, false), (0.2, true), (0.3, false), (1.0, true), (0.85, true)], 5);
        let counts: Vec<(f64, usize, usize)> = found
            .iter()
            .map(|bin| (bin.low, bin.accuracy.count, bin.accuracy.of))
            .collect();
        assert_eq!(counts, [(0.0, 0, 1), (0.2, 1, 2), (0.8, 2, 2)]);
        assert!(bins([], 5).is_empty() && expected_error(&[]).is_none());
    }

    #[test]
    fn the_calibration_error_is_the_mean_distance() {
        // Bins: one answer at 0.1, wrong: off by 0.1; two at 0.9, one right: off by 0.4. (1·0.1 + 2·0.4) / 3 = 0.3.
        let found = bins([(0.1, false), (0.9, true), (0.9, false)], 5);
        assert!((expected_error(&found).expect("answers") - 0.3).abs() < 1e-12);
    }
}
