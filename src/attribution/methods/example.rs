//! Inclusion: what F gains when one unit alone is kept.
//!
//! φ_u = F(x with all units but u replaced) − F(x with all units replaced), for each unit u by itself. It is not
//! complete: a unit that counts only beside another has no score.

use super::removal::{ByRemoval, UnitScores};
use crate::attribution::removal::Mask;

/// The method; which tokens a unit has stands in the task.
#[derive(Clone, Copy, Debug)]
pub struct Inclusion;

impl ByRemoval for Inclusion {
    fn masks(&self, units: usize) -> Vec<Mask> {
        (0..units).map(|unit| Mask::all(units).without(unit)).collect()
    }

    fn scores(&self, units: usize, f: &dyn Fn(&Mask) -> f64) -> UnitScores {
        let nothing = f(&Mask::all(units));
        let score = |unit: usize| f(&Mask::all(units).without(unit)) - nothing;
        UnitScores {
            scores: (0..units).map(score).collect(),
            errors: None,
        }
    }

    /// Beside its masks, the prompt itself and the prompt with all units replaced.
    fn expected_evaluations(&self, units: usize) -> usize {
        units + 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_sum_is_found_and_a_product_not_at_all() {
        let left = |mask: &Mask, unit: usize| f64::from(u8::from(!mask.has(unit)));
        let f = |mask: &Mask| 2.0 * left(mask, 0) - left(mask, 1) + 4.0 * left(mask, 2) * left(mask, 3);
        assert_eq!(Inclusion.scores(4, &f).scores, [2.0, -1.0, 0.0, 0.0]);
    }
}
