//! How far two models' maps agree: rank correlation and overlap of the most important words.
//!
//! Scores of different models differ in size, so ranks are compared, not values. All measures take word scores that are
//! aligned (see [`crate::content::units`]); a measure that is undefined (fewer than two words, all scores equal) is none, not
//! zero.
//!
//! Scores have errors, and where two words lie within their errors of each other their order is noise. So each measure
//! is there twice: as it is in the books, and weighted by what the errors leave certain (`agreement/certain.rs`, whose
//! formulae docs/numerics.md explains). Without errors the two are the same number.

mod certain;

pub use certain::{Certain, Place, certain, places};

use serde::Serialize;

use crate::analysis::summary::Share;
pub use crate::ranks::spearman;

/// How many of the most important words [`Agreement::overlap`] looks at.
pub const TOP: usize = 10;

/// The three measures of one comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Measures {
    /// Rank correlation after Spearman.
    pub spearman: Option<f64>,
    /// Rank correlation after Kendall.
    pub kendall: Option<f64>,
    /// Share of the strongest words in common.
    pub overlap: Option<f64>,
}

/// Agreement of two maps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreement {
    /// Spearman's rank correlation of the signed scores, ties sharing their mean rank.
    pub spearman: Option<f64>,
    /// Kendall's tau-b of the signed scores.
    pub kendall: Option<f64>,
    /// Share of the [`TOP`] words of greatest magnitude that the two have in common.
    pub overlap: Option<f64>,
    /// The same weighted by the errors of both maps, where both are known.
    pub certain: Option<Certain>,
}

/// The word scores of a map, and what is known of their errors.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// One a word.
    pub scores: &'a [f64],
    /// At most this far is each score from the truth; none where nobody knows.
    pub errors: Option<&'a [f64]>,
}

impl Agreement {
    /// What pages lead with: weighted by the errors where they are known, else as it is.
    pub fn leading(&self) -> Measures {
        match &self.certain {
            Some(certain) => certain.measures,
            None => self.plain(),
        }
    }

    /// The measures as they are in the books, every score taken at its word.
    pub fn plain(&self) -> Measures {
        Measures {
            spearman: self.spearman,
            kendall: self.kendall,
            overlap: self.overlap,
        }
    }

    /// How many pairs of words have an order that is certain in both maps; none where errors are unknown.
    pub fn pairs(&self) -> Option<Share> {
        self.certain.as_ref().map(|certain| certain.pairs)
    }
}

/// Compares two maps of the same words.
pub fn agreement(a: Scored<'_>, b: Scored<'_>) -> Agreement {
    let errors = a.errors.zip(b.errors);
    Agreement {
        spearman: spearman(a.scores, b.scores),
        kendall: kendall(a.scores, b.scores),
        overlap: overlap(a.scores, b.scores, TOP),
        certain: errors.and_then(|(x, y)| certain((a.scores, x), (b.scores, y), TOP)),
    }
}

/// Kendall's tau-b: concordant minus discordant pairs, over the geometric mean of the pairs that are untied in each.
pub fn kendall(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let (mut balance, mut untied_a, mut untied_b) = (0i64, 0i64, 0i64);
    for i in 0..a.len() {
        for j in 0..i {
            let x = sign(a[i] - a[j]);
            let y = sign(b[i] - b[j]);
            balance += x * y;
            untied_a += x * x;
            untied_b += y * y;
        }
    }
    let norm = (untied_a as f64 * untied_b as f64).sqrt();
    (norm > 0.0).then(|| balance as f64 / norm)
}

fn sign(x: f64) -> i64 {
    i64::from(x > 0.0) - i64::from(x < 0.0)
}

/// Share of the `top` words of greatest magnitude that two maps have in common; of all words where there are fewer.
pub fn overlap(a: &[f64], b: &[f64], top: usize) -> Option<f64> {
    let top = top.min(a.len());
    if a.len() != b.len() || top == 0 {
        return None;
    }
    let (a, b) = (largest(a, top), largest(b, top));
    Some(a.iter().filter(|word| b.contains(word)).count() as f64 / top as f64)
}

/// Indices of the `top` values of greatest magnitude, greatest first; equal ones in order.
pub fn largest(values: &[f64], top: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[j].abs().total_cmp(&values[i].abs()).then(i.cmp(&j)));
    order.truncate(top);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<f64>, expected: f64) {
        let found = found.expect("defined");
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn the_same_order_agrees_wholly_and_the_reverse_not_at_all() {
        let up = [0.1, 0.5, 2.0, 9.0];
        let down = [4.0, 3.0, -1.0, -2.0];
        close(spearman(&up, &up), 1.0);
        close(kendall(&up, &up), 1.0);
        close(spearman(&up, &down), -1.0);
        close(kendall(&up, &down), -1.0);
    }

    #[test]
    fn ties_share_their_mean_rank() {
        // Ranks (1, 2.5, 2.5, 4) and (1, 3, 2, 4): products 2.25 + 0 + 0 + 2.25 = 4.5, squares 4.5 and 5.
        let (a, b) = ([1.0, 2.0, 2.0, 3.0], [1.0, 3.0, 2.0, 4.0]);
        close(spearman(&a, &b), 4.5 / (4.5f64 * 5.0).sqrt());
        // Five of six pairs untied in a and concordant, all six untied in b: 5 / √(5·6).
        close(kendall(&a, &b), 5.0 / 30f64.sqrt());
    }

    #[test]
    fn one_swap_in_five() {
        // d = (0, 0, 1, −1, 0): 1 − 6·2/(5·24) = 0.9; nine pairs concordant, one discordant: 0.8.
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 4.0, 3.0, 5.0]);
        close(spearman(&a, &b), 0.9);
        close(kendall(&a, &b), 0.8);
    }

    #[test]
    fn what_is_undefined_is_none() {
        let plain = |scores| Scored { scores, errors: None };
        assert_eq!(
            agreement(plain(&[1.0, 1.0]), plain(&[1.0, 2.0])),
            Agreement {
                overlap: Some(1.0),
                ..Agreement::default()
            }
        );
        assert_eq!(agreement(plain(&[]), plain(&[])), Agreement::default());
        assert_eq!(spearman(&[1.0], &[1.0]), None);
        assert_eq!(spearman(&[1.0, 2.0], &[1.0]), None);
    }

    #[test]
    fn overlap_counts_magnitudes() {
        let (a, b) = ([-9.0, 1.0, 5.0, 0.0], [8.0, 7.0, 0.1, 0.0]);
        close(overlap(&a, &b, 2), 0.5);
        close(overlap(&a, &b, 10), 1.0);
        assert_eq!(largest(&a, 2), [0, 2]);
    }
}
