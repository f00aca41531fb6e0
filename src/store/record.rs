//! The record as the site publishes it: `igsite/record/1`.
//!
//! One [`SampleRecord`] is one file `site/data/EXPERIMENT/MODEL/SAMPLE.json`: a model, a sample, and every attribution
//! (target × baseline) computed for them. The store has its parts (see [`super`]); this is the whole. Fields have a
//! fixed order in the file; numbers are written in the shortest form that reads back to the same float.

use std::borrow::Cow;

use crate::terms::{
    Absent, Baseline, Below, DeviceKind, Dtype, Faithfulness, Method, NonFinite, Output, Quadrature, Quantization,
    Round, RoutingQuality, Segment, TargetKind, Token, UnitKind,
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The value of [`SampleRecord::schema`].
pub const SCHEMA: &str = "igsite/record/1";

/// Everything known of one model and one sample of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// [`SCHEMA`].
    pub schema: String,
    /// Id of the experiment.
    pub experiment: String,
    /// What computed it.
    pub model: ModelRecord,
    /// The row it was computed for.
    pub sample: SampleInfo,
    /// The prompt, as the model got it.
    pub prompt: String,
    /// The named parts of the prompt.
    pub segments: Vec<Segment>,
    /// The prompt's tokens.
    pub tokens: Vec<Token>,
    /// The most probable next token; null where an imported file does not tell it.
    pub prediction: Option<Prediction>,
    /// Whether the prediction is the gold option's token (where options are several tokens: whether the gold option is
    /// the most probable of them); absent gold gives null.
    pub correct: Option<bool>,
    /// Each option's token and probability, by letter, in the experiment's order.
    pub options: IndexMap<String, OptionRecord>,
    /// One for each method, target and baseline, in the experiment's order (methods outer, then targets, baselines
    /// inner).
    pub attributions: Vec<AttributionRecord>,
    /// The generated text, if the experiment has `generate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// How and when igsite computed it; null where it did not.
    pub provenance: Option<Provenance>,
    /// How its maps came here, where igsite did not compute them. Absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<ImportedRecord>,
}

/// What a model says in its own words: the most probable token, again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The text that the model continues.
    pub prompt: String,
    /// What it says.
    pub text: String,
    /// The tokens of it.
    pub token_ids: Vec<u32>,
    /// Tokens at most.
    pub max_new_tokens: usize,
    /// Whether it came to its end by itself.
    pub ended: bool,
}

/// What computed a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Id of the model.
    pub id: String,
    /// The source as the model file says.
    pub source: String,
    /// The one file of the hub repository that is the model, where the model file names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The commit of the hub repository; null for a folder or a file of this machine.
    pub revision: Option<String>,
    /// The revision as the model file says it (`main`), which may mean another commit later; only of a hub repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_revision: Option<String>,
    /// `llama`, `mistral`, `falcon`; null, as are the next four, where igsite did not open the model.
    pub architecture: Option<String>,
    /// What it computed in.
    pub dtype: Option<Dtype>,
    /// How its linear layers are quantised.
    pub quantization: Option<Quantization>,
    /// What activations would be rounded to where the checkpoint was made for that. Here they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activations: Option<String>,
    /// Over the weight files' own hashes.
    pub weights_sha256: Option<String>,
    /// Over the tokenizer's files.
    pub tokenizer_sha256: Option<String>,
}

/// The row of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleInfo {
    /// Id of the sample.
    pub id: String,
    /// Letter of the right option.
    pub gold: Option<String>,
    /// The row's columns.
    pub fields: Map<String, Value>,
}

/// The most probable next token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Its id.
    pub token_id: u32,
    /// What it reads as.
    pub text: String,
    /// Its softmax probability.
    pub probability: f64,
}

/// An option's token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptionRecord {
    /// The token that follows the prompt when the letter is appended to it; the first of several.
    pub token_id: u32,
    /// All of several tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_ids: Vec<u32>,
    /// Its softmax probability; of several tokens the product, each given those before it.
    pub probability: f64,
    /// The natural logarithm of several tokens' probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_probability: Option<f64>,
}

impl OptionRecord {
    /// The natural logarithm of its probability, which may be where the probability itself is too small for a float.
    pub fn log_probability(&self) -> f64 {
        self.log_probability.unwrap_or_else(|| self.probability.ln())
    }
}

/// The option that a model predicts: the one whose token it is; where options are several tokens, the most probable,
/// and the first of equals.
pub fn chosen(options: &IndexMap<String, OptionRecord>, predicted: Option<u32>) -> Option<&str> {
    let found = if options.values().all(|option| option.token_ids.is_empty()) {
        options.iter().find(|(_, option)| Some(option.token_id) == predicted)
    } else {
        let by_probability = |(_, a): &(_, &OptionRecord), (_, b): &(_, &OptionRecord)| {
            a.log_probability().total_cmp(&b.log_probability())
        };
        options.iter().rev().max_by(by_probability)
    };
    found.map(|(letter, _)| letter.as_str())
}

/// What an attribution explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// What kind of thing it is.
    pub kind: TargetKind,
    /// One token, or two for a contrast (first minus second), or all of an answer of several.
    pub token_ids: Vec<u32>,
    /// The token's text; `B − D` for a contrast.
    pub text: String,
    /// What the model was given between the prompt and what is explained, and F does not count; only of `generated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<GivenRecord>,
}

impl TargetRecord {
    /// Its text as a page has it: without space around it. An author's own continuation keeps that, as `␣`, since with it
    /// it is another one.
    pub fn shown(&self) -> Cow<'_, str> {
        shown_target(self.kind, &self.text)
    }
}

/// [`TargetRecord::shown`] of a target of this kind and text.
pub fn shown_target(kind: TargetKind, text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    if kind != TargetKind::Text || trimmed.len() == text.len() {
        return Cow::Borrowed(trimmed);
    }
    let (before, behind) = text.split_at(text.len() - text.trim_start().len());
    let spaces = |text: &str| text.chars().map(|c| if c == ' ' { '␣' } else { c }).collect::<String>();
    let behind = &behind[trimmed.len()..];
    Cow::Owned(format!("{}{trimmed}{}", spaces(before), spaces(behind)))
}

/// What a model was given behind a prompt before it spoke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenRecord {
    /// Its tokens.
    pub token_ids: Vec<u32>,
    /// What they read as.
    pub text: String,
}

/// An attribution map: one signed score a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributionRecord {
    /// What is explained.
    pub target: TargetRecord,
    /// Its unit.
    pub output: Output,
    /// How igsite made it; null where it did not, see `imported`.
    #[serde(default = "before_methods")]
    pub method: Option<Method>,
    /// Who made it, where igsite did not. Absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// What the input is compared with: where a path starts; null for an imported map.
    pub baseline: Option<Baseline>,
    /// The rule of a path integral; null for other methods.
    pub quadrature: Option<Quadrature>,
    /// Points of a fixed rule; null for the adaptive one.
    pub steps: Option<usize>,
    /// Whether a fixed rule was also run at half its points, to estimate its error; null for the adaptive one, which
    /// always estimates it.
    pub estimate_error: Option<bool>,
    /// What `converged` and `within_tolerance` are measured by; null, as they are, where a method has no such test.
    pub tolerance: Option<f64>,
    /// What the adaptive rule might spend; null for a fixed one.
    pub max_evaluations: Option<usize>,
    /// Forward and backward passes that igsite spent, those at half the points included; 0 for an imported map.
    pub evaluations: usize,
    /// F at the input; null where it is not finite.
    pub f_input: Option<f64>,
    /// F at the baseline; null where it is not finite.
    pub f_baseline: Option<f64>,
    /// Where a path from the zero vector is entered (`zero: {from: α}`): the baseline is α times the input, and so
    /// `f_baseline` is F there. Absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    /// F at the zero vector, with `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f_zero: Option<f64>,
    /// F(baseline) − F(zero vector), with `from`: what the scores leave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remainder: Option<f64>,
    /// On a path from the zero vector: how much of the map is made where the input is a thousandth, a millionth, a
    /// billionth of itself. Absent elsewhere, and in maps of igsite before it told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Below>,
    /// Sum of the scores; null for a marked record.
    pub sum: Option<f64>,
    /// Sum of the scores − (F(input) − F(baseline)); null for a marked record.
    pub convergence_delta: Option<f64>,
    /// The quadrature's own bound on the L1 error of the map, relative to its L1 norm. For a fixed rule the L1 distance
    /// to the same rule at half the points, with `estimate_error: true`, else null.
    pub error_estimate: Option<f64>,
    /// Whether the map reached its tolerance: by the error estimate, where there is one, and by the delta. A fixed rule
    /// has no test of its own, so without an estimate this is the same as `within_tolerance`.
    pub converged: Option<bool>,
    /// Whether |delta| ≤ tolerance · |F(input) − F(baseline)|.
    pub within_tolerance: Option<bool>,
    /// The notebook's check, |sum − probability| < margin; null where the output is no probability.
    pub within_margin: Option<bool>,
    /// One signed score a token, in the output's unit; empty for a marked record.
    pub scores: Vec<f64>,
    /// The error estimate of each score, in the output's unit; null where the rule has none.
    pub errors: Option<Vec<f64>>,
    /// What the scores stand for, where the method replaces units: a unit's score is shared out evenly among its tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<UnitKind>,
    /// The places of each unit's tokens, with `units`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_tokens: Option<Vec<Vec<usize>>>,
    /// The whole score of each unit, with `units`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_scores: Option<Vec<f64>>,
    /// The standard error of each unit's score, where the method knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_errors: Option<Vec<f64>>,
    /// What the scores leave unexplained: the same line for every method. Null for a marked record, and where F was
    /// not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual: Option<Residual>,
    /// What became of it when it was put to the test, one for each replacement; absent where it was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faithfulness: Vec<Faithfulness>,
    /// How the estimate came about, a round each; empty for a fixed rule without `estimate_error`.
    pub history: Vec<Round>,
    /// Why there is no map; then there are no scores either, and F was not computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<Absent>,
    /// Set when a value along the path was not finite: the record is marked, and no map is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_finite: Option<NonFinite>,
    /// What the choice of experts did along the path; only of a path integral of a model that has experts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<RoutingQuality>,
}

/// What the scores of a map leave unexplained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Residual {
    /// F(x′): at the baseline; with every unit replaced, where the method replaces units.
    pub f_baseline: f64,
    /// F(x) − F(x′) − Σφ; zero where a method is complete and exact.
    pub value: f64,
}

/// Records of igsite before it had other methods name none.
fn before_methods() -> Option<Method> {
    Some(Method::default())
}

/// Who computed a map that igsite did not compute, as the imported file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The program.
    pub tool: String,
    /// Its version; null where the file does not tell it.
    pub version: Option<String>,
    /// What the program calls its method.
    pub method: String,
    /// What the input is compared with, in the file's words.
    pub baseline: Option<String>,
    /// The unit of the scores, where they are no parts of the output.
    pub unit: Option<String>,
    /// What else a reader of the scores must know.
    pub note: Option<String>,
    /// The file that it came in.
    pub file: Option<String>,
}

impl Imported {
    /// `inseq 0.7.1`
    pub fn by(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.tool),
            None => self.tool.clone(),
        }
    }
}

/// How the maps of a record came here that igsite did not compute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedRecord {
    /// The file of the project that holds them.
    pub file: String,
    /// The version of igsite that imported them; null, as is the next, where somebody wrote that file by hand.
    pub igsite: Option<String>,
    /// When: UTC, RFC 3339, to the second.
    pub created: Option<String>,
}

impl AttributionRecord {
    /// A map of which nothing is known but what it explains.
    pub fn blank(target: TargetRecord, output: Output) -> Self {
        Self {
            target,
            output,
            method: None,
            imported: None,
            baseline: None,
            quadrature: None,
            steps: None,
            estimate_error: None,
            tolerance: None,
            max_evaluations: None,
            evaluations: 0,
            f_input: None,
            f_baseline: None,
            from: None,
            f_zero: None,
            remainder: None,
            below: vec![],
            sum: None,
            convergence_delta: None,
            error_estimate: None,
            converged: None,
            within_tolerance: None,
            within_margin: None,
            scores: vec![],
            errors: None,
            units: None,
            unit_tokens: None,
            unit_scores: None,
            unit_errors: None,
            residual: None,
            faithfulness: vec![],
            history: vec![],
            absent: None,
            non_finite: None,
            routing: None,
        }
    }

    /// What people call the method, ours or another program's.
    pub fn method_name(&self) -> &str {
        match &self.imported {
            Some(imported) => &imported.method,
            None => self.method.unwrap_or_default().name(),
        }
    }

    /// What tells maps by different methods apart, whoever made them.
    pub fn made_by(&self) -> (Option<Method>, Option<&str>, Option<&str>) {
        let imported = self.imported.as_ref();
        (
            self.method,
            imported.map(|by| by.tool.as_str()),
            imported.map(|by| by.method.as_str()),
        )
    }

    /// Whether it is by a fixed rule, whose points are known before it runs.
    pub fn has_fixed_rule(&self) -> bool {
        self.quadrature.is_some_and(Quadrature::is_fixed)
    }
}

/// How and when a record was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of igsite.
    pub igsite: String,
    /// What it was computed on.
    pub backend: DeviceKind,
    /// Wall time of the model's work on this record.
    pub seconds: f64,
    /// UTC, RFC 3339, to the second.
    pub created: String,
    /// The GPU that computed it, and how it was looked at. Absent for the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceRecord>,
}

/// A GPU, and what is known of its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// As it calls itself.
    pub name: String,
    /// Its driver with the version; null where it is not told.
    pub driver: Option<String>,
    /// What made the kernels, with its version.
    pub engine: String,
    /// Whether kernels were chosen by timing them on the device.
    pub autotune: bool,
    /// The map of a prompt of the run beside the CPU's.
    pub beside_cpu: BesideCpu,
    /// F of the whole prompt along paths beside F of the prompt by itself: the largest difference of the run until then,
    /// relative to F (or to 1, where it is smaller). Null where no path was computed.
    pub at_input: Option<f64>,
}

/// A map of a device beside the same map by the CPU in float32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BesideCpu {
    /// How many layers of the model were compared; null: all.
    pub layers: Option<usize>,
    /// How many tokens of the prompt.
    pub tokens: usize,
    /// The largest difference, of scores relative to the largest, of F relative to itself or to 1.
    pub apart: f64,
    /// What the dtype explains.
    pub allowed: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_authors_own_text_shows_the_space_around_it() {
        for (kind, text, expected) in [
            (TargetKind::Text, " A", "␣A"),
            (TargetKind::Text, "A", "A"),
            (TargetKind::Text, " two words \n", "␣two words␣\n"),
            (TargetKind::Text, "  ", "␣␣"),
            (TargetKind::Predicted, " A", "A"),
            (TargetKind::Gold, "A ", "A"),
        ] {
            let target = TargetRecord {
                kind,
                token_ids: vec![1],
                text: text.to_owned(),
                given: None,
            };
            assert_eq!(target.shown(), expected, "{kind:?} {text:?}");
        }
    }
}
