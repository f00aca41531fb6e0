//! One experiment: models × samples × targets, as its YAML file says, resolved.

mod attribution;
mod generate;
mod locate;
mod read;
mod resolve;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::dataset::{Origin, Sample};
use super::prompt::{PromptStyle, Templates};

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
    /// How attributions are computed.
    pub attribution: AttributionSpec,
    /// What the model is asked to say in its own words, if anything.
    pub generate: Option<GenerateSpec>,
}

/// The `generate` block.
#[derive(Clone, Debug)]
pub struct GenerateSpec {
    /// What it is asked: columns, and the model's own `prompt` and `answer`.
    template: Templates,
    /// Tokens at most.
    pub max_new_tokens: usize,
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
    /// What is explained; at least one.
    pub targets: Vec<TargetSpec>,
    /// The unit of what is explained.
    pub output: Output,
    /// Where paths start; at least one, the first is the one maps show.
    pub baselines: Vec<BaselineSpec>,
    /// The rule for the path integral.
    pub quadrature: Quadrature,
    /// Points of a fixed rule.
    pub steps: usize,
    /// Whether a fixed rule is run a second time at half its points, to tell its error; the adaptive rule always tells it.
    pub estimate_error: bool,
    /// Bound on |delta| / |F(input) − F(baseline)| for a map to count as within tolerance, and on the error estimate where
    /// there is one.
    pub tolerance: f64,
    /// What the adaptive rule may spend on a map; at least 1.
    pub max_evaluations: usize,
    /// The notebook's check: |sum − probability| below this.
    pub margin: f64,
    /// Path points a pass.
    pub batch: Batch,
}

/// What is explained.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TargetSpec {
    /// The token that the model itself predicts.
    Predicted,
    /// The option that is right for the sample.
    Gold,
    /// Each option in turn.
    AllOptions,
    /// One option, by its letter.
    Option(String),
    /// Any token, by its text.
    Token(String),
    /// The first minus the second.
    Contrast(Box<TargetSpec>, Box<TargetSpec>),
}

/// The unit of the scalar that is explained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Softmax probability at the last position.
    #[default]
    Probability,
    /// The raw logit.
    Logit,
    /// Natural logarithm of the probability.
    LogProbability,
}

/// Where a path starts: one vector, at every position of the prompt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BaselineSpec {
    /// The zero vector.
    Zero,
    /// The mean of the embedding table's rows.
    Mean,
    /// The embedding of the padding token.
    Pad,
    /// The embedding of the end-of-text token.
    Eos,
    /// The embedding of the beginning-of-text token.
    Bos,
    /// The embedding of the unknown token.
    Unk,
    /// The embedding of any token, by its text.
    Token(String),
}

/// The rule for the path integral on [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quadrature {
    /// Polynomials through neighbouring points, more of them where the error is, until error and delta are within tolerance.
    #[default]
    Adaptive,
    /// Gauss–Legendre: n nodes inside the interval, exact for polynomials of degree 2n − 1.
    GaussLegendre,
    /// Left Riemann sum: nodes 0, 1/n, … (n−1)/n.
    RiemannLeft,
    /// Right Riemann sum: nodes 1/n, … 1.
    RiemannRight,
    /// Midpoint rule: nodes (i + ½)/n.
    RiemannMiddle,
    /// Trapezoid rule on n nodes from 0 to 1; its weights sum to 1.
    Trapezoid,
}

impl Quadrature {
    /// Whether its points are known before it runs: every rule but the adaptive one.
    pub fn is_fixed(self) -> bool {
        self != Self::Adaptive
    }
}

/// Path points a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Batch {
    /// Starts large and halves when memory runs out.
    #[default]
    Auto,
    /// Just so many.
    Fixed(usize),
}
