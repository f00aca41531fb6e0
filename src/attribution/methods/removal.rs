//! Methods that replace units of a prompt: what any of them is given and gives.
//!
//! A unit is some of the prompt's tokens. Where it is replaced, the embeddings of its tokens become the baseline's
//! ([`crate::attribution::removal`]). Such a method says of which masks it needs F, and makes the units' scores of
//! them. A unit's score goes to its tokens in equal shares. Tokens of no unit (special tokens, a chat template) are
//! never replaced, and their score is 0.

use std::collections::HashSet;
use std::fmt::Debug;

use super::Attribution;
use crate::attribution::removal::Mask;
use crate::terms::{NonFinite, PathValue};

/// A method with its settings, made ready for many maps.
pub trait ByRemoval: Debug + Send + Sync {
    /// The masks whose F a map of so many units is made of; some may stand there twice.
    fn masks(&self, units: usize) -> Vec<Mask>;

    /// The scores of so many units, by F of each of [`Self::masks`].
    fn scores(&self, units: usize, f: &dyn Fn(&Mask) -> f64) -> UnitScores;

    /// Masks that a map of so many units may take, for the display of progress.
    fn expected_evaluations(&self, units: usize) -> usize;
}

/// What such a method gives.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitScores {
    /// One signed score a unit, in the output's unit.
    pub scores: Vec<f64>,
    /// The standard error of each, where the method knows one.
    pub errors: Option<Vec<f64>>,
}

/// The masks of a map, each once: the prompt itself and the prompt with all units replaced first.
pub fn distinct(masks: impl IntoIterator<Item = Mask>, units: usize) -> Vec<Mask> {
    let mut seen = HashSet::new();
    let ends = [Mask::none(units), Mask::all(units)];
    let masks = ends.into_iter().chain(masks);
    masks.filter(|mask| seen.insert(mask.clone())).collect()
}

/// A map of a prompt of so many tokens, by F of each of `masks`, which are [`distinct`].
pub fn map(
    method: &dyn ByRemoval,
    (tokens, units): (usize, &[Vec<usize>]),
    masks: &[Mask],
    f: &dyn Fn(&Mask) -> f64,
    seconds: f64,
) -> Attribution {
    let count = units.len();
    let strange = masks.iter().find(|mask| !f(mask).is_finite());
    let non_finite = strange.map(|mask| NonFinite {
        // What is left of the input.
        alpha: match count {
            0 => 1.0,
            _ => (0..count).filter(|&unit| !mask.has(unit)).count() as f64 / count as f64,
        },
        what: PathValue::Output,
    });
    let found = non_finite.is_none().then(|| method.scores(count, f));
    let shared = |of_units: &[f64]| {
        let mut of_tokens = vec![0.0; tokens];
        for (unit, score) in units.iter().zip(of_units) {
            for &token in unit {
                of_tokens[token] += score / unit.len() as f64;
            }
        }
        of_tokens
    };
    let errors = found.as_ref().and_then(|found| found.errors.clone());
    Attribution {
        scores: found.as_ref().map_or_else(Vec::new, |found| shared(&found.scores)),
        errors: errors.as_deref().map(shared),
        unit_scores: found.map(|found| found.scores),
        unit_errors: errors,
        f_input: f(&Mask::none(count)),
        f_baseline: Some(f(&Mask::all(count))),
        f_zero: None,
        below: vec![],
        evaluations: masks.len(),
        converged: None,
        history: vec![],
        non_finite,
        routing: None,
        seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::methods::occlusion::Occlusion;

    /// F = Σ of what is left.
    fn linear(weights: &[f64]) -> impl Fn(&Mask) -> f64 {
        |mask| {
            (0..weights.len())
                .filter(|&unit| !mask.has(unit))
                .map(|unit| weights[unit])
                .sum()
        }
    }

    #[test]
    fn a_units_score_goes_to_its_tokens_in_equal_shares() {
        let weights = [1.0, -0.5];
        let units = [vec![1, 3], vec![4]];
        let masks = distinct(Occlusion.masks(2), 2);
        let found = map(&Occlusion, (6, &units), &masks, &linear(&weights), 0.5);
        assert_eq!(found.scores, [0.0, 0.5, 0.0, 0.5, -0.5, 0.0]);
        assert_eq!(found.unit_scores.as_deref(), Some(&weights[..]));
        assert_eq!((found.f_input, found.f_baseline), (0.5, Some(0.0)));
        assert_eq!((found.evaluations, &found.errors), (4, &None));
        assert_eq!(found.convergence_delta(), Some(0.0));
    }

    #[test]
    fn a_prompt_without_units_and_one_with_a_single_one_have_maps() {
        let masks = distinct(Occlusion.masks(0), 0);
        let found = map(&Occlusion, (2, &[]), &masks, &|_| 0.25, 0.0);
        assert_eq!((found.scores.as_slice(), found.evaluations), (&[0.0, 0.0][..], 1));
        assert_eq!((found.f_input, found.f_baseline), (0.25, Some(0.25)));
        let masks = distinct(Occlusion.masks(1), 1);
        let found = map(&Occlusion, (2, &[vec![0]]), &masks, &linear(&[3.0]), 0.0);
        assert_eq!((found.scores.as_slice(), found.evaluations), (&[3.0, 0.0][..], 2));
    }

    #[test]
    fn what_is_not_finite_is_marked_and_has_no_scores() {
        let masks = distinct(Occlusion.masks(4), 4);
        let units: Vec<Vec<usize>> = (0..4).map(|token| vec![token]).collect();
        let f = |mask: &Mask| if *mask == Mask::none(4).with(2) { f64::NAN } else { 1.0 };
        let found = map(&Occlusion, (4, &units), &masks, &f, 0.0);
        let what = PathValue::Output;
        assert_eq!(found.non_finite, Some(NonFinite { alpha: 0.75, what }));
        assert_eq!((found.scores.len(), found.unit_scores), (0, None));
    }
}
