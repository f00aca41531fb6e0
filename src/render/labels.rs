//! The words that pages use for the values of a record.

use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;

use crate::analysis::bootstrap::Standing;
use crate::analysis::results::Results;
use crate::analysis::summary::{State, is_right};
use crate::store::record::AttributionRecord;
use crate::terms::{Baseline, Method, Output, Quadrature};

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

/// The unit of a map's scores: of the output that they are parts of, or what an imported file says.
pub fn unit(attribution: &AttributionRecord) -> String {
    let stated = attribution
        .imported
        .as_ref()
        .and_then(|imported| imported.unit.as_deref());
    stated.map_or_else(|| output(attribution.output).to_owned(), str::to_owned)
}

/// The unit of the maps of an experiment that pages with several models show.
pub fn unit_of(results: &Results<'_>) -> String {
    let otherwise = || output(results.experiment.attribution.output).to_owned();
    results.first_map().map_or_else(otherwise, unit)
}

/// What people call the method of this name.
pub fn method_named(name: &str) -> Option<&'static str> {
    named(name).map(Method::name)
}

/// A baseline of this name, as a phrase.
pub fn baseline_named(name: &str) -> Option<String> {
    Baseline::try_from(name.to_owned()).ok().map(|named| named.name())
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

/// What a map compares the input with, whoever made it.
pub fn baseline_of(attribution: &AttributionRecord) -> String {
    match (&attribution.baseline, &attribution.imported) {
        (Some(own), _) => own.name(),
        (None, imported) => imported
            .as_ref()
            .and_then(|by| by.baseline.clone())
            .unwrap_or_else(|| "baseline that is not told".to_owned()),
    }
}

/// What stands at the lower and the upper end of the colours of a contrast's map, by the contrast's text (`A − F`).
pub fn ends_of_contrast(text: &str) -> (String, String) {
    match text.split_once(" − ") {
        Some((first, second)) => (format!("towards {second}"), format!("towards {first}")),
        None => ("against".to_owned(), "for".to_owned()),
    }
}

/// A map's state in words, and the class that colours them.
pub fn badge(state: State) -> (&'static str, &'static str) {
    match state {
        State::Absent => ("no map: nothing was generated", "open"),
        State::NotFinite => ("marked: not finite", "bad"),
        State::Imported => ("imported: igsite did not compute it", "open"),
        State::Untested => ("error unknown: this method has no test", "open"),
        State::ExactAlone => ("each score exact, not additive", "open"),
        State::AddsUp => ("adds up, standard errors known", "open"),
        State::LostNearZero => ("not exact: lost near the zero vector", "bad"),
        State::NotConverged => ("not numerically exact", "bad"),
        State::MissesTolerance => ("misses tolerance", "bad"),
        State::ErrorAboveTolerance => ("error above tolerance", "bad"),
        State::ErrorUnknown => ("error unknown", "bad"),
        State::DeltaWithinTolerance => ("delta within tolerance, error unknown", "open"),
        State::ErrorAndDeltaWithinTolerance => ("error and delta within tolerance", "open"),
        State::Incomplete => ("incomplete: F jumps where experts change", "bad"),
        // Not the colour of what is good: exact arithmetic does not make a map true.
        State::Converged => ("numerically exact", "open"),
    }
}

/// The badge of the standing of this name.
pub fn standing_named(name: &str) -> Option<(&'static str, &'static str)> {
    let named = match name {
        "better" => Standing::Better,
        "no_better" => Standing::NoBetter,
        "worse" => Standing::Worse,
        "too_few" => Standing::TooFew,
        _ => return None,
    };
    Some(standing(named))
}

/// How maps fare against their controls in words, and the class that colours them.
pub fn standing(standing: Standing) -> (&'static str, &'static str) {
    match standing {
        Standing::Better => ("beat every control", "good"),
        Standing::NoBetter => ("not shown to beat a control", "bad"),
        Standing::Worse => ("lose to a control", "bad"),
        Standing::TooFew => ("too few samples to tell", "open"),
    }
}

/// The warning of a map that is shown small; none where it meets its quality bar.
pub fn mark(attribution: &AttributionRecord) -> Option<&'static str> {
    (!is_right(attribution)).then(|| badge(State::of(attribution)).0)
}
