//! One experiment: models × samples × targets, as its YAML file says, resolved.

mod attribution;
mod faithfulness;
mod generate;
mod locate;
mod read;
mod resolve;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::Serialize;

use super::dataset::{Origin, Sample};
use super::imports::ImportHead;
use super::prompt::Templates;
use crate::terms::{
    Baseline, Batch, Control, Method, MethodSettings, MethodWithSettings, Output, PromptStyle, Quadrature, Routing,
    Rule, Target, UnitKind,
};

pub(super) use read::read;
pub(super) use resolve::resolve;

/// A resolved experiment: every default filled in, every sample rendered to its prompt.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The file's stem; names the experiment in commands, links and data files.
    pub id: String,
    /// The YAML file, relative to the project's root.
    pub path: PathBuf,
    /// Its text as written, for "the exact YAML to make it".
    pub yaml: String,
    /// Title for people; the id where the YAML gives none.
    pub title: String,
    /// Markdown; may be empty.
    pub description: String,
    /// Built only with `--drafts` or when named.
    pub draft: bool,
    /// Ids of the models, in the author's order.
    pub models: Vec<String>,
    /// How models get the prompts.
    pub prompt_style: PromptStyle,
    /// The repository that the samples are from, if they are from the hub.
    pub origin: Option<Origin>,
    /// The chosen samples, in dataset order unless `ids` or `rows` give another.
    pub samples: Vec<Sample>,
    /// The possible answers, in the author's order; empty when the experiment has none.
    pub options: Vec<AnswerOption>,
    /// How attributions are computed; of an imported experiment its output alone, the rest is empty or a default that
    /// nothing reads.
    pub attribution: AttributionSpec,
    /// The text that the model continues, if any.
    pub generate: Option<GenerateSpec>,
    /// How maps are put to the test, if they are.
    pub faithfulness: Option<FaithfulnessSpec>,
    /// Where its maps come from, if another program computed them.
    pub imported: Option<ImportHead>,
    /// The segments in which the cause lies, by what the author knows of the data; empty where nobody says.
    pub expected: Vec<String>,
}

/// The `generate` block.
#[derive(Clone, Debug)]
pub struct GenerateSpec {
    /// The template of the text: columns, and the model's own `prompt` and `answer`.
    template: Templates,
    /// Tokens at most.
    pub max_new_tokens: usize,
}

/// The `faithfulness` block: how maps are put to the test.
#[derive(Clone, Debug, PartialEq)]
pub struct FaithfulnessSpec {
    /// What is removed at a time.
    pub units: UnitKind,
    /// What the embeddings of a removed unit become; at least one.
    pub replacement: Vec<Baseline>,
    /// What the map is held against.
    pub controls: Vec<Control>,
    /// A subset of the samples, as indices in rising order; none: all.
    pub samples: Option<Vec<usize>>,
    /// Width of the beam search of the normalised numbers; 0: there are none.
    pub beam: usize,
    /// Of all that is drawn at random.
    pub seed: u64,
}

impl FaithfulnessSpec {
    /// Whether the maps of a sample are tested.
    pub fn tests(&self, sample: usize) -> bool {
        self.samples
            .as_ref()
            .is_none_or(|samples| samples.binary_search(&sample).is_ok())
    }
}

/// A possible answer: a letter the model may say, and the value of the gold column that makes it the right one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AnswerOption {
    /// What the model has to say, usually one letter.
    pub letter: String,
    /// The gold column's value (`half-true`).
    pub gold: String,
}

/// The `attribution` block.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributionSpec {
    /// How maps are made; at least one, the first is the one that pages with several models show.
    pub methods: Vec<Method>,
    /// What occlusion and Shapley values take away at a time.
    pub units: UnitKind,
    /// Orders that Shapley values are the mean over.
    pub permutations: usize,
    /// Of the random orders.
    pub seed: u64,
    /// What is explained; at least one.
    pub targets: Vec<Target>,
    /// The unit of what is explained.
    pub output: Output,
    /// Where paths start; at least one, the first is the one maps show.
    pub baselines: Vec<Baseline>,
    /// How a mixture's experts are chosen along a path.
    pub routing: Routing,
    /// The rule for the path integral.
    pub quadrature: Quadrature,
    /// Points of a fixed rule.
    pub steps: usize,
    /// Whether a fixed rule is run a second time at half its points, to estimate its error; the adaptive rule always
    /// estimates it.
    pub estimate_error: bool,
    /// Bound on |delta| / |F(input) − F(baseline)| for a map to count as within tolerance, and on the error estimate
    /// where there is one.
    pub tolerance: f64,
    /// What the adaptive rule may spend on a map; at least 1.
    pub max_evaluations: usize,
    /// The notebook's check: |sum − probability| below this.
    pub margin: f64,
    /// Path points a pass.
    pub batch: Batch,
}

impl AttributionSpec {
    /// A method, with those of the settings that its numbers depend on.
    pub fn with_settings(&self, method: Method) -> MethodWithSettings {
        method.with_settings(MethodSettings {
            rule: self.rule(),
            units: self.units,
            permutations: self.permutations,
            seed: self.seed,
        })
    }

    /// How many maps each target and baseline has, all methods together; with `targets` targets.
    pub fn maps(&self, targets: usize) -> usize {
        self.methods.len() * targets * self.baselines.len()
    }

    /// The rule, with those of the settings that its numbers depend on.
    pub fn rule(&self) -> Rule {
        match self.quadrature {
            Quadrature::Adaptive => Rule::Adaptive {
                tolerance: self.tolerance,
                max_evaluations: self.max_evaluations,
            },
            quadrature => Rule::Fixed {
                quadrature,
                steps: self.steps,
                estimate_error: self.estimate_error,
            },
        }
    }
}
