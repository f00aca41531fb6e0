//! How a map is made.

use serde::{Deserialize, Serialize};

use super::{Rule, UnitKind};

words! {
    /// An attribution method.
    #[derive(Default)]
    pub enum Method {
        /// The path integral of the gradient.
        #[default]
        IntegratedGradients = "integrated_gradients",
        /// The gradient at the input, times its difference from the baseline.
        GradientXInput = "gradient_x_input",
        /// The same with a backward pass that is changed in four places.
        Gim = "gim",
        /// What F loses when a part of the prompt is replaced.
        Occlusion = "occlusion",
        /// What a part of the prompt adds to F, in the mean over orders in which the parts come.
        Shapley = "shapley",
    }
}

/// What an experiment says of its methods; each has those of it that its numbers depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MethodSettings {
    /// Of path integrals.
    pub rule: Rule,
    /// What occlusion and Shapley values take away at a time.
    pub units: UnitKind,
    /// Orders that Shapley values are the mean over.
    pub permutations: usize,
    /// Of the random orders.
    pub seed: u64,
}

impl Method {
    /// With those of an experiment's settings that it has.
    pub fn with_settings(self, settings: MethodSettings) -> MethodWithSettings {
        let MethodSettings {
            rule,
            units,
            permutations,
            seed,
        } = settings;
        match self {
            Self::IntegratedGradients => MethodWithSettings::IntegratedGradients(rule),
            Self::GradientXInput => MethodWithSettings::GradientXInput {},
            Self::Gim => MethodWithSettings::Gim {},
            Self::Occlusion => MethodWithSettings::Occlusion { units },
            Self::Shapley => MethodWithSettings::Shapley {
                units,
                permutations,
                seed,
            },
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::IntegratedGradients => "Integrated Gradients",
            Self::GradientXInput => "gradient × input",
            Self::Gim => "GIM",
            Self::Occlusion => "occlusion",
            Self::Shapley => "Shapley values",
        }
    }

    /// Who described it, and when.
    pub fn reference(self) -> &'static str {
        match self {
            Self::IntegratedGradients => "Sundararajan, Taly and Yan 2017",
            Self::GradientXInput => "Shrikumar, Greenside, Shcherbina and Kundaje 2016",
            Self::Gim => "Edin, Csordás, Ruotsalo and others 2025",
            Self::Occlusion => "Zeiler and Fergus 2014",
            Self::Shapley => "Castro, Gómez and Tejada 2009",
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
    /// It has none.
    #[serde(rename = "gim")]
    Gim {},
    /// What is replaced at a time; which tokens that are stands beside it in a key.
    #[serde(rename = "occlusion")]
    Occlusion {
        /// The kind of pieces.
        units: UnitKind,
    },
    /// What is replaced at a time, and in how many orders.
    #[serde(rename = "shapley")]
    Shapley {
        /// The kind of pieces.
        units: UnitKind,
        /// Random orders.
        permutations: usize,
        /// What they are drawn by.
        seed: u64,
    },
}

impl MethodWithSettings {
    /// Which method it is.
    pub fn method(self) -> Method {
        match self {
            Self::IntegratedGradients(_) => Method::IntegratedGradients,
            Self::GradientXInput {} => Method::GradientXInput,
            Self::Gim {} => Method::Gim,
            Self::Occlusion { .. } => Method::Occlusion,
            Self::Shapley { .. } => Method::Shapley,
        }
    }

    /// The rule of a path integral; none of other methods.
    pub fn rule(self) -> Option<Rule> {
        match self {
            Self::IntegratedGradients(rule) => Some(rule),
            _ => None,
        }
    }

    /// What is replaced at a time; none where scores are of tokens, by gradients.
    pub fn units(self) -> Option<UnitKind> {
        match self {
            Self::Occlusion { units } | Self::Shapley { units, .. } => Some(units),
            _ => None,
        }
    }
}
