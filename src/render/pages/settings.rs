//! How an experiment was made: its YAML with every default filled in, in the words of the YAML.

use indexmap::IndexSet;
use serde::Serialize;

use crate::analysis::results::Results;
use crate::content::dataset::Origin;
use crate::content::experiment::AttributionSpec;
use crate::content::imports::ImportHead;
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
    /// Where the maps come from, if igsite did not compute them; then all above is of no account but the output.
    imported: Option<ImportedSettings<'a>>,
}

/// Where imported maps come from.
#[derive(Serialize)]
pub struct ImportedSettings<'a> {
    /// The programs, each with a method.
    made: Vec<(String, String)>,
    /// What is explained, each once and the first few.
    targets: Vec<&'a str>,
    /// How many targets there are besides.
    more: usize,
    #[serde(flatten)]
    head: &'a ImportHead,
    /// The project's file.
    file: String,
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
    pub fn of(results: &'a Results<'_>) -> Self {
        let experiment = results.experiment;
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
            imported: experiment
                .imported
                .as_ref()
                .map(|head| ImportedSettings::of(results, head)),
        }
    }
}

/// Targets that the page of an imported experiment names.
const NAMED: usize = 12;

impl<'a> ImportedSettings<'a> {
    fn of(results: &'a Results<'_>, head: &'a ImportHead) -> Self {
        let maps = results
            .source
            .records
            .iter()
            .flatten()
            .flat_map(|record| &record.attributions);
        let mut targets: IndexSet<&str> = maps.map(|map| map.target.text.as_str()).collect();
        let more = targets.len().saturating_sub(NAMED);
        targets.truncate(NAMED);
        Self {
            made: results.imported_by(),
            targets: targets.into_iter().collect(),
            more,
            head,
            file: results.experiment.path.display().to_string(),
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
