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
        /// The gradient at the input, times its difference from the baseline.
        GradientXInput = "gradient_x_input",
    }
}

impl Method {
    /// With those of an experiment's settings that it has: the rule is for path integrals.
    pub fn with_settings(self, rule: Rule) -> MethodWithSettings {
        match self {
            Self::IntegratedGradients => MethodWithSettings::IntegratedGradients(rule),
            Self::GradientXInput => MethodWithSettings::GradientXInput {},
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::IntegratedGradients => "Integrated Gradients",
            Self::GradientXInput => "gradient × input",
        }
    }

    /// Who described it, and when.
    pub fn reference(self) -> &'static str {
        match self {
            Self::IntegratedGradients => "Sundararajan, Taly and Yan 2017",
            Self::GradientXInput => "Shrikumar, Greenside, Shcherbina and Kundaje 2016",
        }
    }
}

/// A method with those of its settings that its numbers depend on. In a key it stands as one entry, whose name
/// Integrated Gradients has from the time before there were other methods.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum MethodWithSettings {
    /// With its rule for the integral.
    #[serde(rename = "rule")]
    IntegratedGradients(Rule),
    /// It has none.
    #[serde(rename = "gradient_x_input")]
    GradientXInput {},
}

impl MethodWithSettings {
    /// Which method it is.
    pub fn method(self) -> Method {
        match self {
            Self::IntegratedGradients(_) => Method::IntegratedGradients,
            Self::GradientXInput {} => Method::GradientXInput,
        }
    }

    /// The rule of a path integral; none of other methods.
    pub fn rule(self) -> Option<Rule> {
        match self {
            Self::IntegratedGradients(rule) => Some(rule),
            Self::GradientXInput {} => None,
        }
    }
}
