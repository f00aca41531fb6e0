//! Which experts a mixture computes along a path, and what that does to a map.

use serde::{Deserialize, Serialize};

words! {
    /// How experts are chosen along a path.
    #[derive(Default)]
    pub enum Routing {
        /// At each point as the model chooses there: F is the model's own, and jumps where the choice changes.
        #[default]
        Free = "free",
        /// At each point those that are chosen at the input: F has no jumps, and away from the input it is not the
        /// model's.
        Frozen = "frozen",
    }
}

impl Routing {
    /// Whether the choice is the model's own everywhere.
    pub fn is_free(&self) -> bool {
        *self == Self::Free
    }
}

/// What the choice of experts did along a path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutingQuality {
    /// How experts were chosen.
    pub routing: Routing,
    /// How often the set that is chosen for a token in a layer differs between neighbouring points of the path, its
    /// ends among them; summed over points, layers and tokens.
    pub changes: usize,
    /// The sum of F's jumps there, in the output's unit, as far as it is known: between neighbouring points with another
    /// choice, what F changes by less what the integral has. No scores sum to it. The convergence delta is the error of
    /// the integral less this.
    pub residual: f64,
}
