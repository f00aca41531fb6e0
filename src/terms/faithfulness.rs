//! What became of a map that was put to the test: docs/faithfulness.md defines each number.
//!
//! F is the output that the map explains, in its unit. Units (words, say) are removed by replacing the embeddings of
//! their tokens. N is the number of units; k of them are removed or kept.

use serde::{Deserialize, Serialize};

use super::{Baseline, UnitKind};

words! {
    /// How many units are removed, or kept, for the mean that comprehensiveness and sufficiency are.
    #[derive(Default)]
    pub enum Bins {
        /// Every number of them, from one to all.
        #[default]
        Each = "1..N",
    }
}

/// A map under test, with one replacement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Faithfulness {
    /// What the embeddings of a removed unit become.
    pub replacement: Baseline,
    /// Whether that is the very vector that the map compares with, so that the test favours it; two names may be one
    /// vector to a model (`bos` and the text of that token).
    #[serde(default)]
    pub own_baseline: bool,
    /// What is removed at a time.
    pub units: UnitKind,
    /// N: how many units there are.
    pub count: usize,
    /// Why there are no numbers, in words: F was not finite somewhere, or the map is not. All numbers are then null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// The units, most relevant first: in the order in which they are removed. Counted from 0 in the order of the
    /// prompt; empty for a failed test.
    pub order: Vec<usize>,
    /// F while units are removed, and while they are kept; null without units.
    pub curves: Option<Curves>,
    /// Which numbers of units the two means below are over.
    pub bins: Bins,
    /// Mean over the bins of F(x) − F(x without the k most relevant units). More is better.
    pub comprehensiveness: Option<f64>,
    /// Mean over the bins of F(x) − F(x with the k most relevant units only). Less is better.
    pub sufficiency: Option<f64>,
    /// Both, as shares of what any order could reach: the form that may stand beside another model's. Null where it
    /// was not asked for, or where every order gives the same.
    pub normalised: Option<Normalised>,
    /// The smallest number of most relevant units whose removal changes the most probable next token; null where none
    /// does.
    pub flip: Option<usize>,
    /// Spearman's correlation, over random halves of the units, of F with the sum of the scores of what is kept. Null
    /// where one of them is the same for all halves.
    pub lds: Option<f64>,
    /// The same numbers of what is no explanation.
    pub controls: Controls,
    /// What everything random was drawn by.
    pub seed: u64,
    /// For how many different sets of removed units F was computed.
    pub evaluations: usize,
}

impl Faithfulness {
    /// The numbers that controls have, too.
    pub fn numbers(&self) -> TestNumbers {
        TestNumbers {
            comprehensiveness: self.comprehensiveness,
            sufficiency: self.sufficiency,
            normalised: self.normalised.as_ref().map(|normalised| NormalisedNumbers {
                comprehensiveness: normalised.comprehensiveness,
                sufficiency: normalised.sufficiency,
            }),
            flip: self.flip,
            lds: self.lds,
        }
    }

    /// The units whose removal changes the answer, the most relevant first; none where no number of them does.
    pub fn flipping(&self) -> Option<&[usize]> {
        self.flip.and_then(|flip| self.order.get(..flip))
    }
}

/// A point of a curve: share of the units, and F. In JSON a pair.
pub type CurvePoint = (f64, f64);

/// F while units are removed or kept, one at a time: N + 1 points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// (share removed, F), most relevant first.
    pub morf: Vec<CurvePoint>,
    /// (share removed, F), least relevant first.
    pub lerf: Vec<CurvePoint>,
    /// (share kept, F), most relevant first: what is not kept is removed.
    pub keep: Vec<CurvePoint>,
    /// What shuffled maps give; null where they were not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffled: Option<ShuffledCurves>,
}

/// The curves of shuffled maps: F at each point of `morf` and `lerf`, which are alike for a random order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShuffledCurves {
    /// Mean of the shuffles.
    pub mean: Vec<f64>,
    /// The lowest.
    pub low: Vec<f64>,
    /// The highest.
    pub high: Vec<f64>,
    /// The same at each point of `keep`.
    pub keep: Band,
}

/// Where several curves lie: one value a point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Mean of the curves.
    pub mean: Vec<f64>,
    /// The lowest.
    pub low: Vec<f64>,
    /// The highest.
    pub high: Vec<f64>,
}

/// Comprehensiveness and sufficiency in proportion: 0 for the order of removal that has the smallest value, 1 for the
/// one that has the largest (Edin and others 2025, arXiv 2408.08137).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalised {
    /// (comprehensiveness − low) / (high − low). More is better.
    pub comprehensiveness: f64,
    /// (sufficiency − low) / (high − low). Less is better.
    pub sufficiency: f64,
    /// What lies at 0 and at 1.
    #[serde(flatten)]
    pub bounds: Bounds,
    /// Width of the beam that looked for the bounds.
    pub beam: usize,
}

/// The smallest and the largest value over orders of removal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Of comprehensiveness; in JSON `bounds`.
    #[serde(rename = "bounds", with = "pair")]
    pub comprehensiveness: Interval,
    /// Of sufficiency; in JSON `sufficiency_bounds`.
    #[serde(rename = "sufficiency_bounds", with = "pair")]
    pub sufficiency: Interval,
    /// Whether they are over all orders; else the beam may have missed better ones.
    pub exact: bool,
}

/// From the one to the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The smaller end.
    pub low: f64,
    /// The larger end.
    pub high: f64,
}

/// An interval as `[low, high]`.
mod pair {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Interval;

    pub fn serialize<S: Serializer>(interval: &Interval, serializer: S) -> Result<S::Ok, S::Error> {
        [interval.low, interval.high].serialize(serializer)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Interval, D::Error> {
        let [low, high] = <[f64; 2]>::deserialize(deserializer)?;
        Ok(Interval { low, high })
    }
}

/// Two numbers in proportion; the bounds are those of the map under test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormalisedNumbers {
    /// More is better.
    pub comprehensiveness: f64,
    /// Less is better.
    pub sufficiency: f64,
}

/// What was put to the same test beside the map; each is null where it was not asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Controls {
    /// The map's own scores, dealt out to the units at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffled: Option<Shuffled>,
    /// The map's own scores, dealt out by the place of the units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<PositionControl>,
    /// The map of the model with permuted parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<OtherMap>,
    /// Maps of the model with the parameters of its last layers permuted, one layer more from each to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cascading: Option<Vec<Cascaded>>,
    /// The map of another target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<OtherMap>,
}

/// A map of something else, tested on the F of the map under test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OtherMap {
    /// Its numbers: all null where its scores are not finite.
    #[serde(flatten)]
    pub numbers: TestNumbers,
    /// Spearman's correlation of its |scores| with those of the map under test: near 0 where the map depends on what
    /// is different in the other.
    pub spearman: Option<f64>,
    /// Its score of each unit; empty where they are not finite, and of a map that the record has anyway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<f64>,
}

/// A map of the model with the parameters of some of its layers permuted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cascaded {
    /// How many of the last layers; the last norm is always permuted, and an output layer that is not tied.
    pub layers: usize,
    /// Spearman's correlation of its |scores| with those of the map under test; null where it says nothing, or its scores
    /// are not finite.
    pub spearman: Option<f64>,
}

/// The two orders that look at nothing but the place of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PositionControl {
    /// The last unit is the most relevant.
    pub last_first: TestNumbers,
    /// The first unit is the most relevant.
    pub first_first: TestNumbers,
}

/// The numbers of one map, or of what stands in for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestNumbers {
    /// See [`Faithfulness::comprehensiveness`].
    pub comprehensiveness: Option<f64>,
    /// See [`Faithfulness::sufficiency`].
    pub sufficiency: Option<f64>,
    /// See [`Faithfulness::normalised`].
    pub normalised: Option<NormalisedNumbers>,
    /// See [`Faithfulness::flip`].
    pub flip: Option<usize>,
    /// See [`Faithfulness::lds`].
    pub lds: Option<f64>,
}

/// The numbers of all shuffles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shuffled {
    /// How many there are.
    pub count: usize,
    /// How many of them have a smaller comprehensiveness than the map.
    pub beaten: usize,
    /// See [`Faithfulness::comprehensiveness`].
    pub comprehensiveness: Option<Spread>,
    /// See [`Faithfulness::sufficiency`].
    pub sufficiency: Option<Spread>,
    /// See [`Faithfulness::normalised`].
    pub normalised: Option<NormalisedSpread>,
    /// See [`Faithfulness::flip`]; over the shuffles that have one.
    pub flip: Option<Spread>,
    /// See [`Faithfulness::lds`]; over the shuffles that have one.
    pub lds: Option<Spread>,
}

impl Shuffled {
    /// The means, as if they were one map's; the flip, which is a whole number, is left out.
    pub fn means(&self) -> TestNumbers {
        TestNumbers {
            comprehensiveness: self.comprehensiveness.map(|spread| spread.mean),
            sufficiency: self.sufficiency.map(|spread| spread.mean),
            normalised: self.normalised.map(|normalised| NormalisedNumbers {
                comprehensiveness: normalised.comprehensiveness.mean,
                sufficiency: normalised.sufficiency.mean,
            }),
            flip: None,
            lds: self.lds.map(|spread| spread.mean),
        }
    }
}

/// Two numbers in proportion, of all shuffles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormalisedSpread {
    /// More is better.
    pub comprehensiveness: Spread,
    /// Less is better.
    pub sufficiency: Spread,
}

/// Where several values of one number lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation: the root of the mean square distance from the mean, with n − 1; 0 of one value.
    pub deviation: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// How many values there are.
    pub of: usize,
}

impl Spread {
    /// Of values; none of nothing.
    pub fn over(values: &[f64]) -> Option<Self> {
        let of = values.len();
        let low = values.iter().copied().reduce(f64::min)?;
        let high = values.iter().copied().reduce(f64::max)?;
        // The mean of equal values is that value, whatever a sum rounds to.
        let mean = low + values.iter().map(|value| value - low).sum::<f64>() / of as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            mean,
            deviation: (squares / (of - 1).max(1) as f64).sqrt(),
            low,
            high,
            of,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_says_where_values_lie() {
        assert_eq!(Spread::over(&[]), None);
        let equal = Spread::over(&[0.1; 3]).unwrap();
        assert_eq!((equal.mean, equal.deviation, equal.of), (0.1, 0.0, 3));
        let found = Spread::over(&[1.0, 2.0, 6.0]).unwrap();
        assert_eq!((found.mean, found.low, found.high), (3.0, 1.0, 6.0));
        // Squares 4 + 1 + 9 over two.
        assert_eq!(found.deviation, 7f64.sqrt());
    }

    #[test]
    fn the_record_has_the_names_that_are_documented() {
        let numbers = TestNumbers {
            comprehensiveness: Some(0.25),
            ..TestNumbers::default()
        };
        let interval = Interval { low: 0.0, high: 0.5 };
        let tested = Faithfulness {
            replacement: Baseline::Mean,
            own_baseline: false,
            units: UnitKind::Word,
            count: 1,
            failed: None,
            order: vec![0],
            curves: Some(Curves {
                morf: vec![(0.0, 0.5), (1.0, 0.25)],
                lerf: vec![],
                keep: vec![],
                shuffled: None,
            }),
            bins: Bins::Each,
            comprehensiveness: Some(0.25),
            sufficiency: None,
            normalised: Some(Normalised {
                comprehensiveness: 0.5,
                sufficiency: 0.0,
                bounds: Bounds {
                    comprehensiveness: interval,
                    sufficiency: interval,
                    exact: true,
                },
                beam: 5,
            }),
            flip: Some(1),
            lds: None,
            controls: Controls {
                position: Some(PositionControl {
                    last_first: numbers,
                    first_first: numbers,
                }),
                parameters: Some(OtherMap {
                    numbers,
                    spearman: Some(-0.5),
                    scores: vec![0.1],
                }),
                ..Controls::default()
            },
            seed: 3,
            evaluations: 2,
        };
        let json = serde_json::to_string(&tested).unwrap();
        assert_eq!(serde_json::from_str::<Faithfulness>(&json).unwrap(), tested);
        let numbers = r#"{"comprehensiveness":0.25,"sufficiency":null,"normalised":null,"flip":null,"lds":null}"#;
        let expected = r#"{"replacement":"mean","own_baseline":false,"units":"word","count":1,"order":[0],"curves":{"morf":[[0.0,0.5],[1.0,0.25]],"lerf":[],"keep":[]},"bins":"1..N","comprehensiveness":0.25,"sufficiency":null,"normalised":{"comprehensiveness":0.5,"sufficiency":0.0,"bounds":[0.0,0.5],"sufficiency_bounds":[0.0,0.5],"exact":true,"beam":5},"flip":1,"lds":null,"controls":{"position":{"last_first":NUMBERS,"first_first":NUMBERS},"parameters":OTHER},"seed":3,"evaluations":2}"#;
        let other = numbers.replace('}', r#","spearman":-0.5,"scores":[0.1]}"#);
        assert_eq!(json, expected.replace("NUMBERS", numbers).replace("OTHER", &other));
    }
}
