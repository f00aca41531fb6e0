//! The smallest and the largest comprehensiveness over orders of removal, by beam search.
//!
//! After Edin and others 2025 (arXiv 2408.08137), who search over orders. F depends on what is removed, not on the order
//! in which it went, so the beam here holds *sets*: two orders that removed the same units go on alike, and only the
//! better one is kept. A beam that never leaves a set out has looked at all orders.

use std::collections::HashMap;

use super::values::{Mask, Stop, Values};

/// Up to so many units all sets are looked at: 2⁸ of them are no more than a beam of the usual width meets.
const ALL_SETS: usize = 8;

/// What the search found: sums of F over k = 1 … N removed units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The smallest sum: that order's comprehensiveness is the largest.
    pub smallest: f64,
    /// The largest sum.
    pub largest: f64,
    /// Whether all orders were looked at.
    pub exact: bool,
}

/// The masks of the search's first step, which depend on nothing.
pub fn first(units: usize) -> impl Iterator<Item = Mask> {
    (0..units).map(move |unit| (0..units).map(|other| other == unit).collect())
}

/// A set of removed units, with the best sum of F on the way to it.
type Step = (f64, Mask);

/// The width that finds the bounds of so many units for certain, where that costs no more than the width asked for.
pub fn width(units: usize, asked: usize) -> usize {
    if units <= ALL_SETS { usize::MAX } else { asked }
}

/// Searches with a beam of `width` sets for each of the two.
pub fn search(values: &mut Values<'_>, units: usize, width: usize) -> Result<Found, Stop> {
    // Small sums are better for the one, large ones for the other: signs make both the same search.
    let start = || vec![(0.0, vec![false; units])];
    let mut beams: [(f64, Vec<Step>); 2] = [(1.0, start()), (-1.0, start())];
    let mut exact = true;
    for _ in 0..units {
        let grown = beams.each_ref().map(|(_, beam)| grow(beam));
        values.need(grown.iter().flat_map(HashMap::keys).cloned())?;
        for ((sign, beam), grown) in beams.iter_mut().zip(grown) {
            *beam = grown
                .into_iter()
                .map(|(mask, sum)| (sum + *sign * values.at(&mask), mask))
                .collect();
            // Ties by the mask, so that the search is the same each time.
            beam.sort_by(|(a, first), (b, second)| a.total_cmp(b).then_with(|| first.cmp(second)));
            exact &= beam.len() <= width;
            beam.truncate(width);
        }
    }
    let [smallest, largest] = beams.map(|(sign, beam)| sign * beam[0].0);
    Ok(Found {
        smallest,
        largest,
        exact,
    })
}

/// The sets with one more unit, each with the best sum of those that it grew from.
fn grow(beam: &[Step]) -> HashMap<Mask, f64> {
    let mut grown: HashMap<Mask, f64> = HashMap::new();
    for (sum, mask) in beam {
        for unit in 0..mask.len() {
            if mask[unit] {
                continue;
            }
            let mut larger = mask.clone();
            larger[unit] = true;
            let best = grown.entry(larger).or_insert(*sum);
            *best = best.min(*sum);
        }
    }
    grown
}
