//! How an experiment was made: its YAML with every default filled in, in the words of the YAML.

use serde::Serialize;

use crate::content::dataset::Origin;
use crate::content::experiment::{AttributionSpec, BaselineSpec, Experiment, Output, Quadrature, TargetSpec};
use crate::content::prompt::PromptStyle;

/// An experiment's settings.
#[derive(Serialize)]
pub struct Settings<'a> {
    /// The data set of the hub, if it is from there.
    origin: Option<&'a Origin>,
    prompt_style: PromptStyle,
    /// What is explained, in words.
    targets: Vec<String>,
    output: Output,
    /// As records have them: `zero`, `token:…`.
    baselines: Vec<String>,
    margin: f64,
    rule: Rule,
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
            targets: spec.targets.iter().map(target).collect(),
            output: spec.output,
            baselines: spec.baselines.iter().map(baseline).collect(),
            margin: spec.margin,
            rule: Rule::of(spec),
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

fn target(target: &TargetSpec) -> String {
    match target {
        TargetSpec::Predicted => "predicted".to_owned(),
        TargetSpec::Gold => "gold".to_owned(),
        TargetSpec::AllOptions => "every option".to_owned(),
        TargetSpec::Option(letter) => format!("option {letter}"),
        TargetSpec::Token(text) => format!("token “{text}”"),
        TargetSpec::Contrast(a, b) => format!("{} minus {}", self::target(a), self::target(b)),
    }
}

fn baseline(baseline: &BaselineSpec) -> String {
    match baseline {
        BaselineSpec::Zero => "zero".to_owned(),
        BaselineSpec::Mean => "mean".to_owned(),
        BaselineSpec::Pad => "pad".to_owned(),
        BaselineSpec::Eos => "eos".to_owned(),
        BaselineSpec::Bos => "bos".to_owned(),
        BaselineSpec::Unk => "unk".to_owned(),
        BaselineSpec::Token(text) => format!("token:{text}"),
    }
}
