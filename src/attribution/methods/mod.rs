//! The methods, one file each, and what any of them is given and gives.
//!
//! A method reads the model at points of the straight path from a baseline x′ (α = 0) to the input x (α = 1): F there,
//! and Σ_d (x − x′)_{t,d} g_{t,d} of each token t, where g is ∂F/∂x or what the method takes for it. It says which
//! points it wants, is fed their values, and says again. Other methods read F of the prompt with some of its units
//! replaced ([`removal`]). Many maps are made at once ([`super::schedule`]), so that passes over the model are full.

#[cfg(test)]
mod example;
mod gim;
mod gradient_x_input;
pub mod occlusion;
pub mod removal;
pub mod shapley;

use std::fmt::Debug;
use std::sync::Arc;

use super::integral::Nodes;
use super::integrated_gradients::{Ends, Value};
use crate::model::backward::Gradients;
use crate::terms::{Below, MethodWithSettings, NonFinite, Round, Routing, RoutingQuality, relative_error};

pub use removal::ByRemoval;

/// A method made ready, by what it reads.
#[derive(Clone, Debug)]
pub enum Prepared {
    /// Points of a path.
    Path(Arc<dyn Method>),
    /// A prompt with units replaced.
    Removal(Arc<dyn ByRemoval>),
}

impl Prepared {
    /// Passes that a map of so many units may take, for the display of progress.
    pub fn expected_evaluations(&self, units: usize) -> usize {
        match self {
            Self::Path(method) => method.expected_evaluations(),
            Self::Removal(method) => method.expected_evaluations(units),
        }
    }

    /// What it takes for the gradients of a model's parts.
    pub fn gradients(&self) -> Gradients {
        match self {
            Self::Path(method) => method.gradients(),
            Self::Removal(_) => Gradients::OWN,
        }
    }
}

/// A method that reads a path, with its settings, made ready for many maps.
pub trait Method: Debug + Send + Sync {
    /// Whether it reads F at both ends of the path, which takes a forward pass of its own.
    fn needs_ends(&self) -> bool;

    /// What it takes for the gradients of a model's parts.
    fn gradients(&self) -> Gradients {
        Gradients::OWN
    }

    /// Passes that a map may take, for the display of progress.
    fn expected_evaluations(&self) -> usize;

    /// Begins a map.
    fn begin(&self, given: Given) -> Box<dyn InProgress>;
}

/// What a map begins with.
#[derive(Clone, Debug)]
pub struct Given {
    /// Tokens of the prompt.
    pub tokens: usize,
    /// F at the ends of the path, where the method reads them.
    pub ends: Option<Ends>,
    /// Whether the path begins at the zero vector, or all but.
    pub starts_at_zero: bool,
    /// α where the path is entered; 0: at its beginning. The baseline is that point of it.
    pub from: f64,
    /// How experts are chosen along the path.
    pub routing: Routing,
}

/// A map in the making.
pub trait InProgress: Send {
    /// The αs whose values it wants now, in rising order; empty when done.
    fn wanted(&self) -> &[f64];

    /// Takes the values at all of [`Self::wanted`], in its order.
    fn feed(&mut self, values: Vec<Value>);

    /// What it came to, after `seconds` of work.
    fn finish(self: Box<Self>, seconds: f64) -> Attribution;
}

/// What a method gives: scores, their errors where it knows them, and what speaks for its quality.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// One signed score a token, in the output's unit.
    pub scores: Vec<f64>,
    /// The method's own estimate of each score's error, absolute; none where it has none.
    pub errors: Option<Vec<f64>>,
    /// The whole score of each unit, where the method replaces units; a token's score is then its share of it.
    pub unit_scores: Option<Vec<f64>>,
    /// The standard error of each unit's score, where the method knows one.
    pub unit_errors: Option<Vec<f64>>,
    /// F at the input.
    pub f_input: f64,
    /// F at the baseline, where the method reads it.
    pub f_baseline: Option<f64>,
    /// F at the zero vector, where the path from there is entered later: at the baseline.
    pub f_zero: Option<f64>,
    /// What lies near the beginning of a path from the zero vector.
    pub below: Vec<Below>,
    /// Forward and backward passes.
    pub evaluations: usize,
    /// Whether a method that stops by itself reached its tolerance.
    pub converged: Option<bool>,
    /// How it came there: rounds of the adaptive rule, or a fixed rule's check and itself.
    pub history: Vec<Round>,
    /// The first path point with a value that is not finite; the scores then mean nothing.
    pub non_finite: Option<NonFinite>,
    /// What the choice of experts did along a path; none without experts.
    pub routing: Option<RoutingQuality>,
    /// Time spent on it: of passes shared with others, its share of their evaluations.
    pub seconds: f64,
}

impl Attribution {
    /// Sum of the scores.
    pub fn sum(&self) -> f64 {
        self.scores.iter().sum()
    }

    /// F(input) − F(baseline), where both were read.
    pub fn change(&self) -> Option<f64> {
        self.f_baseline.map(|baseline| self.f_input - baseline)
    }

    /// Sum of the scores − (F(input) − F(baseline)): zero for an exact integral. None where F(baseline) was not read.
    pub fn convergence_delta(&self) -> Option<f64> {
        self.change().map(|change| self.sum() - change)
    }

    /// Sum of the errors over the sum of the scores' magnitudes: the relative L1 error of the map. None where it has no
    /// errors, or where it is zero and they are not.
    pub fn error_estimate(&self) -> Option<f64> {
        relative_error(self.errors.as_ref()?, &self.scores)
    }
}

/// A method made ready.
pub fn prepare(method: MethodWithSettings) -> Prepared {
    match method {
        MethodWithSettings::IntegratedGradients(rule) => Prepared::Path(Arc::new(Nodes::of(rule))),
        MethodWithSettings::GradientXInput {} => Prepared::Path(Arc::new(gradient_x_input::GradientXInput)),
        MethodWithSettings::Gim {} => Prepared::Path(Arc::new(gim::Gim)),
        MethodWithSettings::Occlusion { .. } => Prepared::Removal(Arc::new(occlusion::Occlusion)),
        MethodWithSettings::Shapley { permutations, seed, .. } => {
            Prepared::Removal(Arc::new(shapley::Shapley { permutations, seed }))
        }
    }
}
