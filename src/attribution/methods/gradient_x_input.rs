//! Gradient × input: the gradient at the input, times how far the input is from the baseline.
//!
//! φ_t = Σ_d (x − x′)_{t,d} ∂F/∂x_{t,d}(x) (Shrikumar, Greenside, Shcherbina and Kundaje 2016, arXiv 1605.01713; with
//! the zero baseline it is the product with the input itself). That is the integrand of Integrated Gradients at α = 1
//! alone: one forward and one backward pass. It is not complete: scores need not sum to F(x) − F(x′), and F(x′) is read
//! only to say how far off they are.

use super::{Attribution, Given, InProgress, Method};
use crate::attribution::integrated_gradients::Value;
use crate::terms::{NonFinite, PathValue};

/// The method; it has no settings.
#[derive(Clone, Copy, Debug)]
pub struct GradientXInput;

impl Method for GradientXInput {
    fn needs_ends(&self) -> bool {
        true
    }

    fn expected_evaluations(&self) -> usize {
        1
    }

    fn begin(&self, given: Given) -> Box<dyn InProgress> {
        Box::new(AtTheInput::new(given))
    }
}

/// A map: what the model says at the input, once it said it.
pub(super) struct AtTheInput {
    value: Option<Value>,
    /// F at the baseline, for what the scores leave unexplained.
    f_baseline: Option<f64>,
    /// Of the baseline from the input, in α.
    distance: f64,
}

impl AtTheInput {
    pub(super) fn new(given: Given) -> Self {
        Self {
            value: None,
            f_baseline: given.ends.map(|ends| ends.baseline),
            distance: 1.0 - given.from,
        }
    }
}

impl InProgress for AtTheInput {
    fn wanted(&self) -> &[f64] {
        match self.value {
            None => &[1.0],
            Some(_) => &[],
        }
    }

    fn feed(&mut self, mut values: Vec<Value>) {
        self.value = values.pop();
    }

    fn finish(self: Box<Self>, seconds: f64) -> Attribution {
        let Value { output, mut scores, .. } = self.value.expect("it is fed before it is finished");
        scores.iter_mut().for_each(|score| *score *= self.distance);
        let what = match (output.is_finite(), scores.iter().all(|score| score.is_finite())) {
            (true, true) => None,
            (false, _) => Some(PathValue::Output),
            (true, false) => Some(PathValue::Gradient),
        };
        Attribution {
            scores: if what.is_none() { scores } else { vec![] },
            errors: None,
            unit_scores: None,
            unit_errors: None,
            f_input: output,
            f_baseline: self.f_baseline,
            f_zero: None,
            below: vec![],
            evaluations: 1,
            converged: None,
            history: vec![],
            non_finite: what.map(|what| NonFinite { alpha: 1.0, what }),
            routing: None,
            seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::Routing;

    fn map(output: f64, scores: Vec<f64>) -> Attribution {
        let given = Given {
            tokens: 2,
            ends: None,
            starts_at_zero: false,
            routing: Routing::Free,
            from: 0.0,
        };
        let mut map = GradientXInput.begin(given);
        assert_eq!(map.wanted(), [1.0]);
        let routes = vec![];
        map.feed(vec![Value { output, scores, routes }]);
        assert!(map.wanted().is_empty());
        map.finish(0.5)
    }

    #[test]
    fn it_is_the_integrand_at_the_input() {
        let found = map(0.25, vec![1.0, -2.0]);
        assert_eq!((found.scores.as_slice(), found.f_input), (&[1.0, -2.0][..], 0.25));
        assert_eq!((found.evaluations, found.convergence_delta()), (1, None));
    }

    #[test]
    fn what_is_not_finite_is_marked_and_has_no_scores() {
        let found = map(0.25, vec![1.0, f64::INFINITY]);
        let what = PathValue::Gradient;
        assert_eq!(
            (found.non_finite, found.scores.len()),
            (Some(NonFinite { alpha: 1.0, what }), 0)
        );
        assert_eq!(
            map(f64::NAN, vec![1.0, 1.0]).non_finite.unwrap().what,
            PathValue::Output
        );
    }
}
