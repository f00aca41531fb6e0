//! The control of shuffled scores.
//!
//! The map's own scores are dealt out in order of size along a random order of the units, so each shuffle is a
//! permutation of the map's scores. Every second order is the one before it from its other end: that is as random as
//! any, makes the mean of the two closer to the mean of all, and costs nothing, since the sets that are removed along
//! an order from one end are those that are kept along it from the other.

use super::Run;
use crate::random::SplitMix64;
use crate::terms::{Band, NormalisedSpread, Shuffled, ShuffledCurves, Spread, TestNumbers};

/// Random orders of `units`, `count` of them.
pub fn orders(units: usize, count: usize, random: &mut SplitMix64) -> Vec<Vec<usize>> {
    let mut orders: Vec<Vec<usize>> = Vec::with_capacity(count);
    for index in 0..count {
        let order = match orders.last().filter(|_| index % 2 == 1) {
            Some(before) => before.iter().rev().copied().collect(),
            None => {
                let mut order: Vec<usize> = (0..units).collect();
                for place in 0..units {
                    let other = place + random.below(units - place);
                    order.swap(place, other);
                }
                order
            }
        };
        orders.push(order);
    }
    orders
}

/// The scores, the largest to the first of `order`.
pub fn deal(scores: &[f64], order: &[usize]) -> Vec<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let mut dealt = vec![0.0; scores.len()];
    for (unit, score) in order.iter().zip(sorted) {
        dealt[*unit] = score;
    }
    dealt
}

/// Where the curves of the shuffles lie; none without any.
pub fn curves(runs: &[&Run]) -> Option<ShuffledCurves> {
    let removed = band(runs, |run| run.morf.clone())?;
    let keep = band(runs, |run| run.lerf.iter().rev().copied().collect())?;
    let Band { mean, low, high } = removed;
    Some(ShuffledCurves { mean, low, high, keep })
}

fn band(runs: &[&Run], curve: fn(&Run) -> Vec<f64>) -> Option<Band> {
    let curves: Vec<Vec<f64>> = runs.iter().map(|run| curve(run)).collect();
    let mut band = Band::default();
    for point in 0..curves.first()?.len() {
        let values: Vec<f64> = curves.iter().map(|curve| curve[point]).collect();
        let spread = Spread::over(&values)?;
        band.mean.push(spread.mean);
        band.low.push(spread.low);
        band.high.push(spread.high);
    }
    Some(band)
}

/// The shuffles' numbers beside the map's; none without any.
pub fn summary(map: &TestNumbers, shuffles: &[TestNumbers]) -> Option<Shuffled> {
    if shuffles.is_empty() {
        return None;
    }
    let spread = |number: fn(&TestNumbers) -> Option<f64>| {
        let values: Vec<f64> = shuffles.iter().filter_map(number).collect();
        Spread::over(&values)
    };
    let beaten = shuffles
        .iter()
        .filter(|shuffle| shuffle.comprehensiveness < map.comprehensiveness);
    let comprehensiveness = spread(|shuffle| Some(shuffle.normalised?.comprehensiveness));
    let sufficiency = spread(|shuffle| Some(shuffle.normalised?.sufficiency));
    let normalised = comprehensiveness.zip(sufficiency);
    Some(Shuffled {
        count: shuffles.len(),
        beaten: beaten.count(),
        comprehensiveness: spread(|shuffle| shuffle.comprehensiveness),
        sufficiency: spread(|shuffle| shuffle.sufficiency),
        normalised: normalised.map(|(comprehensiveness, sufficiency)| NormalisedSpread {
            comprehensiveness,
            sufficiency,
        }),
        flip: spread(|shuffle| shuffle.flip.map(|flip| flip as f64)),
        lds: spread(|shuffle| shuffle.lds),
    })
}
