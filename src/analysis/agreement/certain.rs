//! Agreement of two maps as far as the errors of their scores let it be known.
//!
//! A score s with error e stands for a true value somewhere in [s − e, s + e]. The order of two words i and j in a map
//! is *certain* when their intervals lie apart, |sᵢ − sⱼ| > eᵢ + eⱼ (or when both are exact: eᵢ = eⱼ = 0, ties
//! included). What is not certain may be noise, and noise must not be called disagreement; so:
//!
//! - **Kendall** is tau-b (Kendall 1945) over the pairs that are certain in both maps, and over no others.
//! - **Spearman** weighs each word by how much of its place is certain: cᵢ is the share of the other words from which
//!   word i can be told in a map, wᵢ = cᵢ(a) · cᵢ(b). Ranks and Pearson's correlation are both weighted: rank(i) = Σ wⱼ
//!   over the words below i, and half of it over those that tie with i (as in the R package wCorr, Bailey and Emad
//!   2023, up to a constant).
//! - **Overlap** counts words that are certain to be among the strongest k of a map, whatever the true values are, or
//!   certain not to be; the others tie with the k-th and count for neither side: both / (both + one alone / 2).
//!
//! With errors of zero each is the measure without weights, but for rounding. The errors are bounds, not standard
//! deviations, so nothing here is a probability.

use super::Measures;
use crate::analysis::summary::Share;

/// Agreement weighted by the errors of both maps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Certain {
    /// The measures; none where nothing that they need is certain.
    pub measures: Measures,
    /// Pairs of words whose order is certain in both maps, of all pairs.
    pub pairs: Share,
    /// Of those, how many the two maps order the other way round.
    pub discordant: usize,
    /// Words that are certain to be among the strongest of both maps.
    pub both: usize,
    /// Words that are certain to be among the strongest of one map, and certain not to be in the other.
    pub alone: usize,
}

/// Whether a word is among the strongest of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Certainly.
    Among,
    /// Certainly not.
    Below,
    /// Within error of the weakest of them.
    Open,
}

/// Compares two maps, each given as scores and errors; `top` is how many words are the strongest. None if the lengths
/// differ.
pub fn certain(a: (&[f64], &[f64]), b: (&[f64], &[f64]), top: usize) -> Option<Certain> {
    let count = a.0.len();
    if [a.1.len(), b.0.len(), b.1.len()] != [count; 3] {
        return None;
    }
    let mut told = PairCounts::default();
    let (mut certain_a, mut certain_b) = (vec![0u32; count], vec![0u32; count]);
    for i in 0..count {
        let (in_a, in_b) = told.row(a, b, i, (&mut certain_a[..i], &mut certain_b[..i]));
        certain_a[i] += in_a;
        certain_b[i] += in_b;
    }
    let others = count.saturating_sub(1).max(1) as f64;
    let weights: Vec<f64> = certain_a
        .iter()
        .zip(&certain_b)
        .map(|(&x, &y)| (f64::from(x) / others) * (f64::from(y) / others))
        .collect();
    let (both, alone) = memberships(a, b, top);
    let members = both as f64 + alone as f64 / 2.0;
    Some(Certain {
        measures: Measures {
            spearman: spearman(a.0, b.0, &weights),
            kendall: told.tau(),
            overlap: (members > 0.0).then(|| both as f64 / members),
        },
        pairs: Share {
            count: told.pairs,
            of: count * count.saturating_sub(1) / 2,
        },
        discordant: told.discordant,
        both,
        alone,
    })
}

/// Pairs that are certain in both maps, counted.
#[derive(Default)]
struct PairCounts {
    pairs: usize,
    discordant: usize,
    balance: i64,
    untied_a: u64,
    untied_b: u64,
}

impl PairCounts {
    /// Compares word `i` with every word before it, counts for each of these in how many pairs its order is certain,
    /// and returns that count for word `i`. This is the innermost loop of rendering a site of many maps: no branches,
    /// so that the compiler can do several pairs at once.
    fn row(
        &mut self,
        (a, errors_a): (&[f64], &[f64]),
        (b, errors_b): (&[f64], &[f64]),
        i: usize,
        (certain_a, certain_b): (&mut [u32], &mut [u32]),
    ) -> (u32, u32) {
        let (mut in_a, mut in_b) = (0, 0);
        let (mut pairs, mut discordant, mut balance, mut untied_a, mut untied_b) = (0i32, 0i32, 0i32, 0i32, 0i32);
        for j in 0..i.min(certain_a.len()).min(certain_b.len()) {
            let (x, is_a) = order(a[i] - a[j], errors_a[i] + errors_a[j]);
            let (y, is_b) = order(b[i] - b[j], errors_b[i] + errors_b[j]);
            certain_a[j] += is_a as u32;
            certain_b[j] += is_b as u32;
            in_a += is_a as u32;
            in_b += is_b as u32;
            let both = is_a & is_b;
            pairs += both;
            discordant += both & i32::from(x * y < 0);
            balance += both * x * y;
            untied_a += both * x * x;
            untied_b += both * y * y;
        }
        self.pairs += pairs as usize;
        self.discordant += discordant as usize;
        self.balance += i64::from(balance);
        self.untied_a += untied_a as u64;
        self.untied_b += untied_b as u64;
        (in_a, in_b)
    }

    fn tau(&self) -> Option<f64> {
        let norm = (self.untied_a as f64 * self.untied_b as f64).sqrt();
        (norm > 0.0).then(|| self.balance as f64 / norm)
    }
}

/// The sign of a difference, and 1 where it is certain; a tie is only where both values are exact.
fn order(difference: f64, error: f64) -> (i32, i32) {
    let sign = i32::from(difference > 0.0) - i32::from(difference < 0.0);
    (sign, i32::from((difference.abs() > error) | (error == 0.0)))
}

/// Weighted Pearson correlation of weighted ranks.
fn spearman(a: &[f64], b: &[f64], weights: &[f64]) -> Option<f64> {
    let total: f64 = weights.iter().sum();
    if a.len() < 2 || total <= 0.0 {
        return None;
    }
    let (a, b) = (ranks(a, weights), ranks(b, weights));
    let mean = |ranks: &[f64]| {
        ranks
            .iter()
            .zip(weights)
            .map(|(rank, weight)| rank * weight)
            .sum::<f64>()
            / total
    };
    let (mean_a, mean_b) = (mean(&a), mean(&b));
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for ((x, y), weight) in a.iter().zip(&b).zip(weights) {
        product += weight * (x - mean_a) * (y - mean_b);
        square_a += weight * (x - mean_a).powi(2);
        square_b += weight * (y - mean_b).powi(2);
    }
    // All weight on one word leaves nothing but rounding.
    let least = f64::EPSILON * total.powi(3);
    let norm = (square_a * square_b).sqrt();
    (square_a > least && square_b > least).then(|| (product / norm).clamp(-1.0, 1.0))
}

/// The weight below each value, and half of the weight at it.
fn ranks(values: &[f64], weights: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let (mut start, mut below) = (0, 0.0);
    while start < order.len() {
        let mut end = start + 1;
        while end < order.len() && values[order[end]] == values[order[start]] {
            end += 1;
        }
        let here: f64 = order[start..end].iter().map(|&index| weights[index]).sum();
        for &index in &order[start..end] {
            ranks[index] = below + here / 2.0;
        }
        below += here;
        start = end;
    }
    ranks
}

/// How many words are certainly among the strongest `top` of both maps, and how many certainly of one alone.
fn memberships(a: (&[f64], &[f64]), b: (&[f64], &[f64]), top: usize) -> (usize, usize) {
    let (mut both, mut alone) = (0, 0);
    for pair in places(a.0, a.1, top).into_iter().zip(places(b.0, b.1, top)) {
        match pair {
            (Place::Among, Place::Among) => both += 1,
            (Place::Among, Place::Below) | (Place::Below, Place::Among) => alone += 1,
            _ => {}
        }
    }
    (both, alone)
}

/// Whether each word is among the `top` of greatest magnitude; of equal ones the first, as [`super::largest`] has it.
pub fn places(scores: &[f64], errors: &[f64], top: usize) -> Vec<Place> {
    if top >= scores.len() {
        return vec![Place::Among; scores.len()];
    }
    // A key orders by magnitude, then the earlier word first.
    let key = |index: usize, sign: f64| (scores[index].abs() + sign * errors[index], usize::MAX - index);
    let nth = |sign: f64, nth: usize| {
        let mut keys: Vec<(f64, usize)> = (0..scores.len()).map(|index| key(index, sign)).collect();
        keys.sort_by(|x, y| y.0.total_cmp(&x.0).then(y.1.cmp(&x.1)));
        keys.get(nth).copied()
    };
    let above = |x: (f64, usize), y: (f64, usize)| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)).is_gt();
    // `top` words are at least this strong, and no more than `top` (the word itself among them) may be stronger than
    // that.
    let (least, most) = (top.checked_sub(1).and_then(|last| nth(-1.0, last)), nth(1.0, top));
    let place = |index: usize| match (least, most) {
        (_, Some(most)) if above(key(index, -1.0), most) => Place::Among,
        (Some(least), _) if !above(least, key(index, 1.0)) => Place::Open,
        _ => Place::Below,
    };
    (0..scores.len()).map(place).collect()
}

#[cfg(test)]
mod tests;
