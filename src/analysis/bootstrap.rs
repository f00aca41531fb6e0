//! Means over samples, and how far they can be trusted.
//!
//! The interval is a percentile interval of the bootstrap (Efron and Tibshirani 1993, chapter 13): samples are drawn
//! again with replacement, and it lies where 95% of the means of such draws lie. With few samples that interval is
//! too short, by a known amount where the values are normal; so its percentiles are moved outwards by as much
//! (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American Statistician 69, 4.1: the expanded
//! percentile interval): instead of α/2, Φ(−√(n / (n − 1)) t) with Student's t at 1 − α/2 for n − 1 degrees of freedom.
//! The draws are the same for every series of the same length, so that the same records give the same pages.

use serde::Serialize;

use crate::analysis::summary::Share;
use crate::random::SplitMix64;
use crate::terms::Interval;

/// Means of drawn samples.
const DRAWS: usize = 2000;
/// Fewer samples than this say nothing of how far others would lie from them.
pub const FEWEST: usize = 5;
/// Where the generator starts.
const SEED: u64 = 95;
/// The normal distribution's 97.5% quantile.
const Z: f64 = 1.959_963_984_540_054;

/// The mean over samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its 95% interval; none of fewer than [`FEWEST`] samples.
    pub interval: Option<Interval>,
    /// Samples.
    pub of: usize,
}

impl Estimate {
    /// Of one value a sample; none of nothing.
    pub fn over(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        Some(Self {
            mean: mean(values),
            interval: interval(values),
            of: values.len(),
        })
    }
}

/// How far one thing is ahead of another, sample by sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ahead {
    /// The mean difference; above 0 where the first is better.
    pub difference: Estimate,
    /// In how many samples it is better.
    pub beats: Share,
}

impl Ahead {
    /// Of the difference in each sample; none of nothing.
    pub fn over(differences: &[f64]) -> Option<Self> {
        let mut beats = Share::default();
        differences.iter().for_each(|difference| beats.add(*difference > 0.0));
        Some(Self {
            difference: Estimate::over(differences)?,
            beats,
        })
    }

    /// What that comes to.
    pub fn standing(&self) -> Standing {
        match self.difference.interval {
            None => Standing::TooFew,
            Some(interval) if interval.low > 0.0 => Standing::Better,
            Some(interval) if interval.high < 0.0 => Standing::Worse,
            Some(_) => Standing::NoBetter,
        }
    }
}

/// What a comparison over samples comes to; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The interval of the difference lies below zero.
    Worse,
    /// Zero lies within it.
    NoBetter,
    /// There is no interval.
    TooFew,
    /// It lies above zero.
    Better,
}

/// The mean of equal values is that value, whatever a sum rounds to.
fn mean(values: &[f64]) -> f64 {
    let first = values[0];
    first + values.iter().map(|value| value - first).sum::<f64>() / values.len() as f64
}

/// The 95% interval of the mean.
fn interval(values: &[f64]) -> Option<Interval> {
    let count = values.len();
    if count < FEWEST {
        return None;
    }
    let mut random = SplitMix64::new(SEED);
    let first = values[0];
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let drawn = (0..count).map(|_| values[random.below(count)] - first);
            first + drawn.sum::<f64>() / count as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let tail = tail(count);
    Some(Interval {
        low: quantile(&means, tail),
        high: quantile(&means, 1.0 - tail),
    })
}

/// The share of draws that is left out at either end, with so many samples.
fn tail(count: usize) -> f64 {
    let (n, freedom) = (count as f64, count as f64 - 1.0);
    below(-students_t(freedom) * (n / freedom).sqrt())
}

/// Between the two sorted values around the place.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (lower, upper) = (place.floor() as usize, place.ceil() as usize);
    sorted[lower] + (sorted[upper] - sorted[lower]) * (place - place.floor())
}

/// Student's 97.5% quantile, by its expansion in 1/ν about the normal one (Abramowitz and Stegun 26.7.5); from four
/// degrees of freedom on it is right to 0.001.
fn students_t(freedom: f64) -> f64 {
    let (z2, v) = (Z * Z, freedom);
    let first = (z2 + 1.0) / 4.0;
    let second = ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0;
    let third = (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0;
    let fourth = ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92160.0;
    Z * (1.0 + first / v + second / v.powi(2) + third / v.powi(3) + fourth / v.powi(4))
}

/// The normal distribution below a negative x, by Laplace's continued fraction, which is quick where it is needed.
fn below(x: f64) -> f64 {
    let x = -x;
    let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let fraction = (1..=60).rev().fold(x, |fraction, k| x + f64::from(k) / fraction);
    density / fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distributions_are_those_of_tables() {
        // python3 -c "from scipy.stats import t, norm
        // print([t.ppf(.975, v) for v in (4, 9, 23, 99)], [norm.cdf(-x) for x in (1.96, 2.2, 3.1)])"
        for (freedom, expected) in [
            (4.0, SCIPY_T[0]),
            (9.0, SCIPY_T[1]),
            (23.0, SCIPY_T[2]),
            (99.0, SCIPY_T[3]),
        ] {
            assert!((students_t(freedom) - expected).abs() < 1e-3, "{}", students_t(freedom));
        }
        for (x, expected) in [(-1.96, SCIPY_NORM[0]), (-2.2, SCIPY_NORM[1]), (-3.1, SCIPY_NORM[2])] {
            assert!((below(x) / expected - 1.0).abs() < 1e-9, "{}", below(x));
        }
        assert!((tail(1_000_000) - 0.025).abs() < 1e-6);
    }

    /// SciPy 1.17.1.
    const SCIPY_T: [f64; 4] = [2.776_445_105, 2.262_157_163, 2.068_657_610, 1.984_216_952];
    const SCIPY_NORM: [f64; 3] = [0.024_997_895_148_22, 0.013_903_447_513_498, 0.000_967_603_213_218];

    #[test]
    fn an_estimate_knows_its_samples() {
        assert_eq!(Estimate::over(&[]), None);
        let few = Estimate::over(&[1.0, 2.0, 3.0, 6.0]).unwrap();
        assert_eq!((few.mean, few.interval, few.of), (3.0, None, 4));
        let equal = Estimate::over(&[0.1; 7]).unwrap();
        assert_eq!(
            (equal.mean, equal.interval),
            (0.1, Some(Interval { low: 0.1, high: 0.1 }))
        );
    }

    #[test]
    fn a_standing_is_where_the_interval_lies() {
        let around = |middle: f64, count: usize| {
            let values: Vec<f64> = (0..count).map(|i| middle + (i % 5) as f64 - 2.0).collect();
            let ahead = Ahead::over(&values).unwrap();
            (ahead.standing(), ahead.beats.count)
        };
        assert_eq!(around(1.5, 20), (Standing::Better, 16));
        assert_eq!(around(0.0, 20), (Standing::NoBetter, 8));
        assert_eq!(around(-1.5, 20), (Standing::Worse, 4));
        assert_eq!(around(1.5, 4), (Standing::TooFew, 3));
        assert_eq!(Ahead::over(&[0.0; 6]).unwrap().standing(), Standing::NoBetter);
    }

    /// How many of 1,000 intervals hold the true mean.
    fn covered(count: usize, mean: f64, mut draw: impl FnMut(&mut SplitMix64) -> f64) -> usize {
        let mut random = SplitMix64::new(14);
        let mut covers = |_: &usize| {
            let values: Vec<f64> = (0..count).map(|_| draw(&mut random)).collect();
            let interval = Estimate::over(&values).unwrap().interval.unwrap();
            interval.low <= mean && mean <= interval.high
        };
        (0..1000).filter(|run| covers(run)).count()
    }

    fn uniform(random: &mut SplitMix64) -> f64 {
        (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Box and Muller's.
    fn normal(random: &mut SplitMix64) -> f64 {
        let radius = (-2.0 * (1.0 - uniform(random)).ln()).sqrt();
        radius * (std::f64::consts::TAU * uniform(random)).cos()
    }

    #[test]
    fn intervals_cover_the_truth_in_95_of_100_simulations() {
        for count in [12, 24, 48] {
            let found = [
                covered(count, 0.3, |random| 0.3 + normal(random)),
                covered(count, 0.5, uniform),
                // Differences of two methods that mostly agree.
                covered(count, 0.0, |random| normal(random) * uniform(random)),
            ];
            assert!(
                found.iter().all(|covered| (930..=970).contains(covered)),
                "{count} samples: {found:?}"
            );
        }
    }
}
