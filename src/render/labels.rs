//! The words that pages use for the values of a record.

use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;

use crate::analysis::summary::{State, is_right};
use crate::content::experiment::{Output, Quadrature};
use crate::store::record::AttributionRecord;

/// A value by the name that records and templates have for it; none where there is no such name.
fn named<T: DeserializeOwned>(name: &str) -> Option<T> {
    T::deserialize(StrDeserializer::<serde::de::value::Error>::new(name)).ok()
}

/// The unit of the output of this name.
pub fn unit_named(name: &str) -> Option<&'static str> {
    named(name).map(output)
}

/// What the quadrature rule of this name is called.
pub fn rule_named(name: &str) -> Option<&'static str> {
    named(name).map(rule)
}

/// The badge of the state of this name.
pub fn badge_named(name: &str) -> Option<(&'static str, &'static str)> {
    named(name).map(badge)
}

/// The unit of an output.
pub fn output(output: Output) -> &'static str {
    match output {
        Output::Probability => "probability",
        Output::Logit => "logit",
        Output::LogProbability => "log-probability (nats)",
    }
}

/// What a quadrature rule is called.
pub fn rule(rule: Quadrature) -> &'static str {
    match rule {
        Quadrature::Adaptive => "adaptive",
        Quadrature::GaussLegendre => "Gauss–Legendre",
        Quadrature::RiemannLeft => "left Riemann sum",
        Quadrature::RiemannRight => "right Riemann sum",
        Quadrature::RiemannMiddle => "midpoint rule",
        Quadrature::Trapezoid => "trapezoid rule",
    }
}

/// A baseline, as a phrase.
pub fn baseline(baseline: &str) -> String {
    match baseline {
        "zero" => "zero vector".to_owned(),
        "mean" => "mean embedding".to_owned(),
        other => match other.strip_prefix("token:") {
            Some(text) => format!("token “{text}”"),
            None => format!("{other} token"),
        },
    }
}

/// A map's state in words, and the class that colours them.
pub fn badge(state: State) -> (&'static str, &'static str) {
    match state {
        State::NotFinite => ("marked: not finite", "bad"),
        State::NotConverged => ("not converged", "bad"),
        State::MissesTolerance => ("misses tolerance", "bad"),
        State::ErrorAboveTolerance => ("error above tolerance", "bad"),
        State::ErrorUnknown => ("error unknown", "bad"),
        State::DeltaWithinTolerance => ("delta within tolerance, error unknown", "open"),
        State::ErrorAndDeltaWithinTolerance => ("error and delta within tolerance", "good"),
        State::Converged => ("converged", "good"),
    }
}

/// What a map that is shown small has to say for itself; nothing where it is as right as was asked for.
pub fn mark(attribution: &AttributionRecord) -> Option<&'static str> {
    (!is_right(attribution)).then(|| badge(State::of(attribution)).0)
}
