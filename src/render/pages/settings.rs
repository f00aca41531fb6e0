//! How an experiment was made: its YAML with every default filled in, in the words of the YAML.

use serde::Serialize;

use crate::content::dataset::Origin;
use crate::content::experiment::{AttributionSpec, Experiment};
use crate::terms::{Baseline, Method, Output, PromptStyle, Quadrature, Target};

/// An experiment's settings.
#[derive(Serialize)]
pub struct Settings<'a> {
    /// The data set of the hub, if it is from there.
    origin: Option<&'a Origin>,
    prompt_style: PromptStyle,
    methods: Vec<MethodWithReference>,
    /// What is explained, in words.
    targets: Vec<String>,
    output: Output,
    /// As records have them: `zero`, `token:…`.
    baselines: &'a [Baseline],
    margin: f64,
    rule: Rule,
}

/// A method, and who described it.
#[derive(Serialize)]
pub struct MethodWithReference {
    method: Method,
    reference: &'static str,
}

/// The rule for the path integral.
#[derive(Serialize)]
pub struct Rule {
    quadrature: Quadrature,
    /// Whether its points are known before it runs.
    fixed: bool,
    steps: usize,
    estimate_error: bool,
    tolerance: f64,
    max_evaluations: usize,
}

impl<'a> Settings<'a> {
    /// Of an experiment.
    pub fn of(experiment: &'a Experiment) -> Self {
        let spec = &experiment.attribution;
        Self {
            origin: experiment.origin.as_ref(),
            prompt_style: experiment.prompt_style,
            methods: spec.methods.iter().map(MethodWithReference::of).collect(),
            targets: spec.targets.iter().map(target).collect(),
            output: spec.output,
            baselines: &spec.baselines,
            margin: spec.margin,
            rule: Rule::of(spec),
        }
    }
}

impl MethodWithReference {
    fn of(method: &Method) -> Self {
        Self {
            method: *method,
            reference: method.reference(),
        }
    }
}

impl Rule {
    /// Of the `attribution` block.
    pub fn of(spec: &AttributionSpec) -> Self {
        Self {
            quadrature: spec.quadrature,
            fixed: spec.quadrature.is_fixed(),
            steps: spec.steps,
            estimate_error: spec.estimate_error,
            tolerance: spec.tolerance,
            max_evaluations: spec.max_evaluations,
        }
    }
}

fn target(target: &Target) -> String {
    match target {
        Target::Predicted => "predicted".to_owned(),
        Target::Gold => "gold".to_owned(),
        Target::AllOptions => "every option".to_owned(),
        Target::Option(letter) => format!("option {letter}"),
        Target::Token(text) => format!("token “{text}”"),
        Target::Text(text) => format!("text “{text}”"),
        Target::Generated => "what the model generates".to_owned(),
        Target::Contrast(a, b) => format!("{} minus {}", self::target(a), self::target(b)),
    }
}
