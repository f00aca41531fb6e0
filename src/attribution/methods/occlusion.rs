//! Occlusion: what F loses when one unit is replaced.
//!
//! φ_u = F(x) − F(x with u replaced), for each unit u by itself (Zeiler and Fergus 2014, arXiv 1311.2901, for patches
//! of images; with words, leave-one-out; Captum's `FeatureAblation`). One forward pass a unit. It is not complete:
//! where two units say the same, neither has a score; where it takes both, both have the whole.

use super::removal::{ByRemoval, UnitScores};
use crate::attribution::removal::Mask;

/// The method; which tokens a unit has stands in the task.
#[derive(Clone, Copy, Debug)]
pub struct Occlusion;

impl ByRemoval for Occlusion {
    fn masks(&self, units: usize) -> Vec<Mask> {
        (0..units).map(|unit| Mask::none(units).with(unit)).collect()
    }

    fn scores(&self, units: usize, f: &dyn Fn(&Mask) -> f64) -> UnitScores {
        let input = f(&Mask::none(units));
        let score = |unit: usize| input - f(&Mask::none(units).with(unit));
        UnitScores {
            scores: (0..units).map(score).collect(),
            errors: None,
        }
    }

    fn expected_evaluations(&self, units: usize) -> usize {
        units + 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_sum_is_found_and_a_product_counts_twice() {
        let left = |mask: &Mask, unit: usize| f64::from(u8::from(!mask.has(unit)));
        let f = |mask: &Mask| 2.0 * left(mask, 0) - left(mask, 1) + 4.0 * left(mask, 2) * left(mask, 3);
        assert_eq!(Occlusion.scores(4, &f).scores, [2.0, -1.0, 4.0, 4.0]);
    }
}
