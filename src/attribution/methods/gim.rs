//! GIM, gradient interaction modifications: gradient × input with another backward pass.
//!
//! φ_t = Σ_d (x − x′)_{t,d} g_{t,d}(x) (Edin, Csordás, Ruotsalo, Wu, Maistro, Christensen, Huang and Maaløe 2025, arXiv
//! 2505.17630). F is the model's own; g is what its backward pass gives with four changes. Attention's softmax is gone
//! back through as if it were softer, so that a token is not passed over because another one would take its place. The
//! scale of each norm is a constant. Where activations are multiplied with each other (the query with the key, their
//! weight with the value, a gate with what it gates), each factor gets its share of the gradient instead of all of it.
//! The first three are those of the authors' package gim-explain 0.1.4, the last is `scale_mlp_gate` of the paper's own
//! program. docs/methods.md says what is done where the package says nothing.
//!
//! The map is not complete: scores need not sum to F(x) − F(x′), and F(x′) is read only to say how far off they
//! are.

use super::gradient_x_input::AtTheInput;
use super::{Given, InProgress, Method};
use crate::model::backward::Gradients;

/// The method; it has no settings.
#[derive(Clone, Copy, Debug)]
pub struct Gim;

/// The four changes.
const GRADIENTS: Gradients = Gradients {
    temperature: 2.0,
    norms_detached: true,
    queries_and_keys: 0.25,
    values: 0.5,
    gated: 0.5,
};

impl Method for Gim {
    fn needs_ends(&self) -> bool {
        true
    }

    fn gradients(&self) -> Gradients {
        GRADIENTS
    }

    fn expected_evaluations(&self) -> usize {
        1
    }

    fn begin(&self, given: Given) -> Box<dyn InProgress> {
        Box::new(AtTheInput::new(given))
    }
}
