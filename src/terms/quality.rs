//! What speaks for or against a path integral.

use serde::{Deserialize, Serialize};

words! {
    /// A value along a path.
    pub enum PathValue {
        /// F
        Output = "output",
        /// ∂F/∂x
        Gradient = "gradient",
    }
}

/// Where a path met a value that is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NonFinite {
    /// The path point: 0 at the baseline, 1 at the input.
    pub alpha: f64,
    /// Which value.
    pub what: PathValue,
}

/// The αs below which a path from the zero vector is told apart: a thousandth of the input, a millionth, a billionth.
pub const LEVELS: [f64; 3] = [1e-3, 1e-6, 1e-9];

/// The part of a path from the zero vector on which the input is at most `alpha` of itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Below {
    /// One of [`LEVELS`].
    pub alpha: f64,
    /// What that part adds to the scores: its L1 norm, relative to that of the map. It can be more than 1, where the
    /// rest of the path takes back what it adds. Null where the rule does not tell.
    pub share: Option<f64>,
    /// What F changes by on it, in the output's unit: F(α) − F where the path starts. Null where it is not finite.
    pub change: Option<f64>,
}

/// A state of the estimate on its way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Forward and backward passes spent so far.
    pub evaluations: usize,
    /// The estimated L1 error of the map, relative to its L1 norm; null where it is not known yet.
    pub error_estimate: Option<f64>,
    /// Sum of the scores − (F(input) − F(baseline)), in the output's unit.
    pub convergence_delta: f64,
}

/// The L1 error of a map relative to its L1 norm; none where the map is zero and its error is not, or either is no
/// number.
pub fn relative_error(errors: &[f64], scores: &[f64]) -> Option<f64> {
    let error: f64 = errors.iter().sum();
    let norm: f64 = scores.iter().map(|score| score.abs()).sum();
    if error == 0.0 {
        return Some(0.0);
    }
    Some(error / norm).filter(|relative| relative.is_finite())
}
