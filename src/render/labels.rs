//! The words that pages use for the values of a record.

use crate::analysis::summary::relative_delta;
use crate::content::experiment::{Output, Quadrature};
use crate::render::text::{number, percent, signed};
use crate::store::record::AttributionRecord;

/// The unit of an output.
pub fn output(output: Output) -> &'static str {
    match output {
        Output::Probability => "probability",
        Output::Logit => "logit",
        Output::LogProbability => "log-probability (nats)",
    }
}

/// A rule with its points.
pub fn quadrature(rule: Quadrature, steps: usize) -> String {
    let name = match rule {
        Quadrature::GaussLegendre => "Gauss–Legendre",
        Quadrature::RiemannLeft => "left Riemann sum",
        Quadrature::RiemannRight => "right Riemann sum",
        Quadrature::RiemannMiddle => "midpoint rule",
        Quadrature::Trapezoid => "trapezoid rule",
    };
    format!("{name}, {steps} points")
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

/// What is explained, as a phrase: `“B” (predicted)`.
pub fn target(attribution: &AttributionRecord) -> String {
    format!("“{}” ({})", attribution.target.text, attribution.target.kind)
}

/// A map's quality in one word, and the class that colours it.
pub fn badge(attribution: &AttributionRecord) -> (&'static str, &'static str) {
    if attribution.non_finite.is_some() {
        ("marked: not finite", "bad")
    } else if !attribution.within_tolerance {
        ("misses tolerance", "bad")
    } else if !attribution.converged {
        ("not converged", "bad")
    } else if attribution.error_estimate.is_none() {
        ("delta within tolerance, error unknown", "open")
    } else {
        ("within tolerance", "good")
    }
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
    let error = match attribution.error_estimate {
        Some(error) => format!("Error estimate {} of the map’s L1 norm", percent(error)),
        None => "Error estimate unknown: a fixed rule has none".to_owned(),
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
    let stopped = if attribution.converged {
        ""
    } else {
        " It stopped before it reached its aim."
    };
    let warning = match attribution.error_estimate {
        None => " A small delta is necessary for a right map, not sufficient.",
        Some(_) => "",
    };
    format!("{error}; {delta}.{stopped}{warning}")
}
