//! The rule for the path integral ∫₀¹ … dα.

use serde::{Deserialize, Serialize};

words! {
    /// The family of a rule on [0, 1].
    #[derive(Default)]
    pub enum Quadrature {
        /// Polynomials through neighbouring points, more of them where the error is, until error and delta are within
        /// tolerance.
        #[default]
        Adaptive = "adaptive",
        /// Gauss–Legendre: n nodes inside the interval, exact for polynomials of degree 2n − 1.
        GaussLegendre = "gauss_legendre",
        /// Left Riemann sum: nodes 0, 1/n, … (n−1)/n.
        RiemannLeft = "riemann_left",
        /// Right Riemann sum: nodes 1/n, … 1.
        RiemannRight = "riemann_right",
        /// Midpoint rule: nodes (i + ½)/n.
        RiemannMiddle = "riemann_middle",
        /// Trapezoid rule on n nodes from 0 to 1; its weights sum to 1.
        Trapezoid = "trapezoid",
    }
}

impl Quadrature {
    /// Whether its points are known before it runs: every rule but the adaptive one.
    pub fn is_fixed(self) -> bool {
        self != Self::Adaptive
    }
}

/// A rule with those of its settings that its numbers depend on, and no others: `steps` beside the adaptive rule is no
/// reason to compute anything again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Stops by itself.
    Adaptive {
        /// On the error estimate of the map, relative to its L1 norm, and on |delta| / |F(input) − F(baseline)|.
        tolerance: f64,
        /// What it may spend.
        max_evaluations: usize,
    },
    /// Any other rule.
    Fixed {
        /// Which.
        quadrature: Quadrature,
        /// Its points.
        steps: usize,
        /// Whether it is run at half its points too, to estimate its error.
        estimate_error: bool,
    },
}

/// Path points a pass over the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Batch {
    /// Starts large and halves when memory runs out.
    #[default]
    Auto,
    /// Just so many.
    Fixed(usize),
}
