//! What a map is in truth, by a method of another kind than the engine's and as exact as float32 allows.
//!
//! It does what QUADPACK does: Gauss–Kronrod rules of 15 points on panels that are halved until the 7 Gauss points
//! among them say the same, in ln α where the path begins at zero. It shares nothing with the adaptive rule but the
//! values of the model, and its error is that difference, added up over panels without cancelling: far more than what
//! it is really off by. What the values themselves are worth is not asked here but in `reference.rs` and
//! `own_reference.rs`.

use igsite::attribution::integral::Nodes;
use igsite::attribution::integrated_gradients::Scalar;
use igsite::attribution::methods::Attribution;
use igsite::attribution::quadrature::Point;
use igsite::terms::BaselineVector;

use super::cases::{Model, size};

/// What a map is in truth.
pub struct Truth {
    /// The scores.
    pub scores: Vec<f64>,
    /// What they are off by at most, as a share of Σ|score|.
    pub error: f64,
    /// And what their sum is off by, likewise.
    pub delta: f64,
}

/// Where the first panels end, in ln α on a path from zero, and how wide they are from there on.
const LOG_PANELS: [(f64, f64); 4] = [(-60.0, 4.0), (-36.0, 1.0), (-16.0, 0.5), (0.0, 0.0)];
/// Elsewhere the panels are halves of what is left towards 0, so many times: a baseline can be all but zero.
const HALVES: i32 = 10;
/// A panel is halved whose difference is more than this share of Σ|score|,
const DIFFERENCE: f64 = 5e-6;
/// but not more often than this.
const HALVINGS: usize = 6;

impl Model {
    /// The truth of each scalar. A panel that one of them needs to be halved is halved for all, since they share its
    /// passes.
    pub fn truths(&mut self, ids: &[u32], start: BaselineVector, scalars: &[Scalar]) -> Vec<Truth> {
        self.truths_to(ids, start, scalars, DIFFERENCE)
    }

    /// The same, a panel being halved whose difference is more than `exact` of Σ|score|.
    pub fn truths_to(&mut self, ids: &[u32], start: BaselineVector, scalars: &[Scalar], exact: f64) -> Vec<Truth> {
        let zero = start == BaselineVector::Zero;
        let from = start.from();
        let mut panels: Vec<(f64, f64)> = if from > 0.0 {
            let count = (-2.0 * from.ln()).ceil();
            let end = |i: usize| from.ln() * (1.0 - i as f64 / count);
            (0..count as usize).map(|i| (end(i), end(i + 1))).collect()
        } else if zero {
            let stretch = |pair: &[(f64, f64)]| {
                let [(from, width), (to, _)] = [pair[0], pair[1]];
                let count = ((to - from) / width).round() as usize;
                (0..count).map(move |i| (from + width * i as f64, from + width * (i + 1) as f64))
            };
            LOG_PANELS.windows(2).flat_map(stretch).collect()
        } else {
            let ends = (0..=HALVES).rev().map(|k| 0.5f64.powi(k));
            let mut from = 0.0;
            ends.map(|to| (std::mem::replace(&mut from, to), to)).collect()
        };
        let tokens = ids.len();
        let mut sums = vec![(vec![0.0; tokens], 0.0); scalars.len()];
        let mut ends = vec![];
        if zero {
            // What lies below the first panel, as the density there: next to nothing.
            let alpha = LOG_PANELS[0].0.exp();
            let points = vec![Point { alpha, weight: alpha }];
            let rule = Nodes::Fixed {
                points: points.into(),
                check: None,
            };
            let maps = self.along(
                ids,
                start,
                scalars.iter().map(|&scalar| (scalar, rule.clone())).collect(),
            );
            sums = maps.into_iter().map(|map| (map.scores, 0.0)).collect();
        }
        for halved in 0..=HALVINGS {
            let rule = |&panel: &(f64, f64)| gauss_kronrod(panel, zero || from > 0.0, from);
            let rules: Vec<Nodes> = panels.iter().map(rule).collect();
            let asked = rules
                .iter()
                .flat_map(|rule| scalars.iter().map(|&scalar| (scalar, rule.clone())));
            let maps = self.along(ids, start, asked.collect());
            ends = maps[..scalars.len()].iter().map(|map| map.change().unwrap()).collect();
            let sizes: Vec<f64> = (0..scalars.len())
                .map(|index| {
                    let mut all = sums[index].0.clone();
                    let maps = maps.iter().skip(index).step_by(scalars.len());
                    maps.for_each(|map| add(&mut all, &map.scores));
                    size(&all)
                })
                .collect();
            let mut coarse = Vec::new();
            for (&(from, to), maps) in panels.iter().zip(maps.chunks(scalars.len())) {
                let difference = |map: &Attribution| map.errors.as_ref().expect("a check").iter().sum::<f64>();
                let exact = |(map, size): (&Attribution, &f64)| difference(map) <= exact * size;
                if halved == HALVINGS || maps.iter().zip(&sizes).all(exact) {
                    for ((sum, error), map) in sums.iter_mut().zip(maps) {
                        add(sum, &map.scores);
                        *error += difference(map);
                    }
                } else {
                    let middle = 0.5 * (from + to);
                    coarse.extend([(from, middle), (middle, to)]);
                }
            }
            panels = coarse;
            if panels.is_empty() {
                break;
            }
        }
        let truth = |((scores, error), change): ((Vec<f64>, f64), f64)| Truth {
            error: error / size(&scores),
            delta: (scores.iter().sum::<f64>() - change).abs() / size(&scores),
            scores,
        };
        sums.into_iter().zip(ends).map(truth).collect()
    }
}

fn add(to: &mut [f64], values: &[f64]) {
    to.iter_mut().zip(values).for_each(|(to, value)| *to += value);
}

/// The rule on a panel of ln α or α, with the Gauss rule among its points as its check. The engine spreads a rule over
/// what is left of a path that is entered, which is undone here.
fn gauss_kronrod((from, to): (f64, f64), zero: bool, entered: f64) -> Nodes {
    let half = 0.5 * (to - from);
    let place = |x: f64| {
        if zero {
            (from + half * (1.0 + x)).exp()
        } else {
            from + half * (1.0 + x)
        }
    };
    // dα = α d(ln α)
    let point = |x: f64, weight: f64| Point {
        alpha: (place(x) - entered) / (1.0 - entered),
        weight: half * weight * if zero { place(x) } else { 1.0 } / (1.0 - entered),
    };
    let gauss = kronrod().filter(|(_, _, gauss)| *gauss > 0.0);
    Nodes::Fixed {
        points: kronrod().map(|(x, kronrod, _)| point(x, kronrod)).collect(),
        check: Some(gauss.map(|(x, _, gauss)| point(x, gauss)).collect()),
    }
}

/// QUADPACK's rule `qk15` on [−1, 1]: node, weight, and weight in the Gauss rule of 7 points, which every other node
/// is one of.
fn kronrod() -> impl Iterator<Item = (f64, f64, f64)> {
    const HALF: [(f64, f64, f64); 8] = [
        (0.991_455_371_120_812_6, 0.022_935_322_010_529_224, 0.0),
        (
            0.949_107_912_342_758_5,
            0.063_092_092_629_978_56,
            0.129_484_966_168_869_7,
        ),
        (0.864_864_423_359_769_1, 0.104_790_010_322_250_18, 0.0),
        (
            0.741_531_185_599_394_5,
            0.140_653_259_715_525_92,
            0.279_705_391_489_276_64,
        ),
        (0.586_087_235_467_691_1, 0.169_004_726_639_267_9, 0.0),
        (
            0.405_845_151_377_397_2,
            0.190_350_578_064_785_4,
            0.381_830_050_505_118_9,
        ),
        (0.207_784_955_007_898_47, 0.204_432_940_075_298_9, 0.0),
        (0.0, 0.209_482_141_084_727_82, 0.417_959_183_673_469_4),
    ];
    let mirrored = HALF[..7].iter().map(|&(x, kronrod, gauss)| (-x, kronrod, gauss));
    mirrored.chain(HALF.iter().rev().copied())
}
