//! The words that pages use for the values of a record.

use crate::analysis::summary::{is_right, relative_delta};
use crate::content::experiment::AttributionSpec;
use crate::render::text::{number, percent, signed};
use crate::store::record::{AttributionRecord, ModelRecord};
use crate::terms::{Baseline, Output, Quadrature};

/// The unit of an output.
pub fn output(output: Output) -> &'static str {
    match output {
        Output::Probability => "probability",
        Output::Logit => "logit",
        Output::LogProbability => "log-probability (nats)",
    }
}

/// The commit of a model's repository, and what the model file calls it. The commit, written as `revision`, makes it again.
pub fn revision(model: &ModelRecord) -> String {
    match (&model.revision, &model.requested_revision) {
        (None, _) => "none (a folder)".to_owned(),
        (Some(commit), Some(asked)) if asked != commit => format!("{commit} ({asked} when it was fetched)"),
        (Some(commit), _) => commit.clone(),
    }
}

/// A rule with its settings.
pub fn quadrature(spec: &AttributionSpec) -> String {
    let name = match spec.quadrature {
        Quadrature::Adaptive => {
            return format!(
                "adaptive, to {}, at most {} evaluations",
                percent(spec.tolerance),
                spec.max_evaluations
            );
        }
        Quadrature::GaussLegendre => "Gauss–Legendre",
        Quadrature::RiemannLeft => "left Riemann sum",
        Quadrature::RiemannRight => "right Riemann sum",
        Quadrature::RiemannMiddle => "midpoint rule",
        Quadrature::Trapezoid => "trapezoid rule",
    };
    let steps = spec.steps;
    let points = if steps == 1 { "point" } else { "points" };
    if spec.estimate_error {
        format!("{name}, {steps} {points}, and again at {} for the error", steps / 2)
    } else {
        format!("{name}, {steps} {points}")
    }
}

/// The keys of the rule with their values, defaults included, as the YAML has them.
pub fn rule_keys(spec: &AttributionSpec) -> String {
    let rule = spec.quadrature;
    let tolerance = spec.tolerance;
    if spec.quadrature.is_fixed() {
        format!(
            "quadrature: {rule}, steps: {}, estimate_error: {}, tolerance: {tolerance}",
            spec.steps, spec.estimate_error
        )
    } else {
        format!(
            "quadrature: {rule}, tolerance: {tolerance}, max_evaluations: {}",
            spec.max_evaluations
        )
    }
}

/// A baseline, as a phrase.
pub fn baseline(baseline: &Baseline) -> String {
    match baseline {
        Baseline::Zero => "zero vector".to_owned(),
        Baseline::Mean => "mean embedding".to_owned(),
        Baseline::Token(text) => format!("token “{text}”"),
        other => format!("{other} token"),
    }
}

/// What is explained, as a phrase: `“B” (predicted)`.
pub fn target(attribution: &AttributionRecord) -> String {
    target_of(attribution, attribution.target.kind.word())
}

/// The same where several kinds of target are the same tokens: `“B” (predicted, gold)`.
pub fn target_of(attribution: &AttributionRecord, kinds: &str) -> String {
    format!("“{}” ({kinds})", attribution.target.text)
}

/// A map's quality in one word, and the class that colours it.
pub fn badge(attribution: &AttributionRecord) -> (&'static str, &'static str) {
    let fixed = attribution.has_fixed_rule();
    if attribution.non_finite.is_some() {
        ("marked: not finite", "bad")
    } else if attribution.converged.is_none() {
        ("error unknown: this method has no test", "open")
    } else if attribution.converged == Some(false) && !fixed {
        ("not converged", "bad")
    } else if attribution.within_tolerance == Some(false) && fixed {
        ("misses tolerance", "bad")
    } else if attribution.converged == Some(false) && attribution.error_estimate.is_some() {
        ("error above tolerance", "bad")
    } else if attribution.converged == Some(false) {
        ("error unknown", "bad")
    } else if attribution.error_estimate.is_none() {
        ("delta within tolerance, error unknown", "open")
    } else if fixed {
        ("error and delta within tolerance", "good")
    } else {
        ("converged", "good")
    }
}

/// What a map that is shown small has to say for itself; nothing where it is as right as was asked for.
pub fn mark(attribution: &AttributionRecord) -> Option<&'static str> {
    (!is_right(attribution)).then(|| badge(attribution).0)
}

/// How right a map is, in a sentence that claims no more than is known.
pub fn quality(attribution: &AttributionRecord) -> String {
    if let Some(point) = &attribution.non_finite {
        return format!(
            "The {} was not finite at α = {} on the path: this record is marked and no map is drawn.",
            point.what,
            number(point.alpha)
        );
    }
    let fixed = attribution.has_fixed_rule();
    let Some(tolerance) = attribution.tolerance.map(percent) else {
        return format!(
            "{} has no test of its own: the error of its scores is unknown, and they need not sum to F(input) − F(baseline).",
            attribution.method.name()
        );
    };
    let error = match attribution.error_estimate {
        Some(error) if fixed => format!(
            "Error estimate {} of the map, estimated with the same rule at half the points",
            percent(error)
        ),
        Some(error) if attribution.converged == Some(true) => format!("Error estimate {} of the map", percent(error)),
        Some(error) => format!(
            "Not converged: stopped after {} evaluations at an error of {} of the map",
            attribution.evaluations,
            percent(error)
        ),
        None if fixed => "Error estimate unknown: a fixed rule has none".to_owned(),
        None => "Error estimate unknown".to_owned(),
    };
    let delta = match (attribution.convergence_delta, relative_delta(attribution)) {
        (Some(delta), Some(share)) => {
            format!(
                "delta is {}, {} of F(input) − F(baseline)",
                signed(delta),
                percent(share)
            )
        }
        (Some(delta), None) => format!("delta is {}", signed(delta)),
        (None, _) => "delta unknown".to_owned(),
    };
    let missed = match (attribution.converged == Some(true), fixed) {
        (true, _) => String::new(),
        (false, true) => format!(" The tolerance of {tolerance} is missed."),
        (false, false) => format!(" Asked for were at most {tolerance} of both."),
    };
    let warning = match attribution.error_estimate {
        None => " A small delta is necessary for a right map, not sufficient.",
        Some(_) => "",
    };
    format!("{error}; {delta}.{missed}{warning}")
}
