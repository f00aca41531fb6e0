//! Shapley values by permutations: what a unit adds to F, in the mean over orders in which the units come.
//!
//! φ_u = mean over orders π of F(pre_π(u) ∪ {u}) − F(pre_π(u)), where pre_π(u) are the units before u and all others
//! are replaced (Castro, Gómez and Tejada 2009, "Polynomial calculation of the Shapley value based on sampling";
//! Captum's `ShapleyValueSampling`). Along each order the differences add up to F(x) − F(all replaced), so the scores
//! do. What the orders differ by gives each score's standard error, s / √n with s² = Σ (difference − mean)² / (n − 1);
//! none with one order.
//!
//! To draw the orders of a map again: start SplitMix64 at the seed ([`crate::random`]). For each order write down the
//! units 0 … n−1; for i = 0 … n−1 take the next output x, let j = i + ⌊x·(n−i) / 2⁶⁴⌋, and swap the entries i and j.
//! The next order goes on where the generator is. Units count from the beginning of the prompt, so maps of prompts with
//! as many units have the same orders.

use super::removal::{ByRemoval, UnitScores};
use crate::attribution::removal::Mask;
use crate::random::SplitMix64;

/// The method.
#[derive(Clone, Copy, Debug)]
pub struct Shapley {
    /// Orders; at least one.
    pub permutations: usize,
    /// What they are drawn by.
    pub seed: u64,
}

impl Shapley {
    /// The orders of so many units.
    pub fn orders(&self, units: usize) -> Vec<Vec<usize>> {
        let mut random = SplitMix64::new(self.seed);
        let mut order = || {
            let mut order: Vec<usize> = (0..units).collect();
            for at in 0..units {
                order.swap(at, at + random.below(units - at));
            }
            order
        };
        (0..self.permutations).map(|_| order()).collect()
    }
}

/// The masks along an order: all units are replaced at first, and none at last.
fn along(order: &[usize]) -> impl Iterator<Item = Mask> {
    let first = Mask::all(order.len());
    let rest = order.iter().scan(first.clone(), |mask, &unit| {
        *mask = mask.clone().without(unit);
        Some(mask.clone())
    });
    [first].into_iter().chain(rest)
}

/// What each unit adds along an order.
fn differences(order: &[usize], f: &dyn Fn(&Mask) -> f64) -> Vec<f64> {
    let values: Vec<f64> = along(order).map(|mask| f(&mask)).collect();
    let mut differences = vec![0.0; order.len()];
    for (pair, &unit) in values.windows(2).zip(order) {
        differences[unit] = pair[1] - pair[0];
    }
    differences
}

impl ByRemoval for Shapley {
    fn masks(&self, units: usize) -> Vec<Mask> {
        self.orders(units).iter().flat_map(|order| along(order)).collect()
    }

    fn scores(&self, units: usize, f: &dyn Fn(&Mask) -> f64) -> UnitScores {
        let all: Vec<Vec<f64>> = self.orders(units).iter().map(|order| differences(order, f)).collect();
        let count = all.len() as f64;
        let mean = |unit: usize| all.iter().map(|of| of[unit]).sum::<f64>() / count;
        let scores: Vec<f64> = (0..units).map(mean).collect();
        let error = |unit: usize| {
            let squares: f64 = all.iter().map(|of| (of[unit] - scores[unit]).powi(2)).sum();
            (squares / (count - 1.0) / count).sqrt()
        };
        let errors = (all.len() > 1).then(|| (0..units).map(error).collect());
        UnitScores { scores, errors }
    }

    fn expected_evaluations(&self, units: usize) -> usize {
        2 + self.permutations * units.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(mask: &Mask, unit: usize) -> f64 {
        f64::from(u8::from(!mask.has(unit)))
    }

    /// Units that work together, and one alone.
    fn planted(mask: &Mask) -> f64 {
        let left = |unit: usize| left(mask, unit);
        0.3 + 2.0 * left(0) - left(1) + 4.0 * left(2) * left(3) - 3.0 * left(0) * left(3) * left(4)
    }

    #[test]
    fn a_planted_sum_is_found_in_every_order() {
        let weights = [2.0, -1.0, 0.0, 4.0, 0.5];
        let f = |mask: &Mask| (0..5).map(|unit| weights[unit] * left(mask, unit)).sum();
        for (permutations, seed) in [(1, 3), (7, 4)] {
            let found = Shapley { permutations, seed }.scores(5, &f);
            for (score, weight) in found.scores.iter().zip(weights) {
                assert!((score - weight).abs() < 1e-15, "{score} for {weight}");
            }
            let errors = found.errors.unwrap_or_default();
            assert_eq!(errors.len(), if permutations == 1 { 0 } else { 5 });
            assert!(errors.iter().all(|error| *error < 1e-15));
        }
    }

    #[test]
    fn along_each_order_the_differences_add_up() {
        let whole = planted(&Mask::none(5)) - planted(&Mask::all(5));
        let shapley = Shapley {
            permutations: 40,
            seed: 9,
        };
        for order in shapley.orders(5) {
            let sum: f64 = differences(&order, &planted).iter().sum();
            assert!((sum - whole).abs() < 1e-14, "{order:?}");
        }
        let sum: f64 = shapley.scores(5, &planted).scores.iter().sum();
        assert!((sum - whole).abs() < 1e-14);
    }

    /// A product of units is shared out among them in equal parts, whatever the order they stand in.
    #[test]
    fn many_orders_come_within_their_error_of_the_exact_values() {
        let exact = [2.0 - 1.0, -1.0, 2.0, 2.0 - 1.0, -1.0];
        let mut outside = 0;
        for seed in 0..200 {
            let permutations = 60;
            let found = Shapley { permutations, seed }.scores(5, &planted);
            let errors = found.errors.unwrap();
            for ((score, error), exact) in found.scores.iter().zip(&errors).zip(exact) {
                outside += usize::from((score - exact).abs() > 2.0 * error + 1e-12);
            }
        }
        // Of 1,000, one of the five units having no error at all: 4.6% of 800 are expected beyond two standard errors.
        assert!((20..70).contains(&outside), "{outside}");
    }

    /// Drawn again by the recipe in the module's head, with Python's integers (tests/reference/removal/make.py).
    #[test]
    fn the_orders_stay_what_they_were() {
        let orders = Shapley {
            permutations: 3,
            seed: 7,
        }
        .orders(6);
        assert_eq!(orders, ORDERS_OF_6_SEED_7);
        assert!(
            Shapley {
                permutations: 2,
                seed: 0
            }
            .orders(0)
            .iter()
            .all(Vec::is_empty)
        );
    }

    const ORDERS_OF_6_SEED_7: [[usize; 6]; 3] = [[2, 1, 5, 4, 3, 0], [2, 0, 1, 4, 3, 5], [5, 0, 1, 4, 2, 3]];

    #[test]
    fn the_masks_of_a_map_are_those_along_its_orders() {
        let shapley = Shapley {
            permutations: 2,
            seed: 1,
        };
        let masks = shapley.masks(3);
        assert_eq!(masks.len(), 8);
        assert_eq!((&masks[0], &masks[3]), (&Mask::all(3), &Mask::none(3)));
        let order = &shapley.orders(3)[0];
        assert_eq!(masks[1], Mask::all(3).without(order[0]));
        assert_eq!(masks[2], Mask::none(3).with(order[2]));
    }
}
