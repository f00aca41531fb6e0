//! How a map is made.

use serde::{Deserialize, Serialize};

use super::Rule;

words! {
    /// An attribution method.
    #[derive(Default)]
    pub enum Method {
        /// The path integral of the gradient.
        #[default]
        IntegratedGradients = "integrated_gradients",
    }
}

impl Method {
    /// With those of an experiment's settings that it has: the rule is for path integrals.
    pub fn with_settings(self, rule: Rule) -> MethodWithSettings {
        match self {
            Self::IntegratedGradients => MethodWithSettings::IntegratedGradients(rule),
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::IntegratedGradients => "Integrated Gradients",
        }
    }

    /// Who described it, and when.
    pub fn reference(self) -> &'static str {
        match self {
            Self::IntegratedGradients => "Sundararajan, Taly and Yan 2017",
        }
    }
}

/// A method with those of its settings that its numbers depend on. In a key it stands as one entry, whose name Integrated Gradients
/// has from the time before there were other methods.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum MethodWithSettings {
    /// With its rule for the integral.
    #[serde(rename = "rule")]
    IntegratedGradients(Rule),
}

impl MethodWithSettings {
    /// Which method it is.
    pub fn method(self) -> Method {
        match self {
            Self::IntegratedGradients(_) => Method::IntegratedGradients,
        }
    }

    /// The rule of a path integral; none of other methods.
    pub fn rule(self) -> Option<Rule> {
        match self {
            Self::IntegratedGradients(rule) => Some(rule),
        }
    }
}
