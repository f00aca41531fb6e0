//! What a stored part depends on, as a typed value; its name in the store is the SHA-256 of that value's JSON.
//!
//! Never a modification time, never a path: the same model, text and rule have the same name in every project.

use serde::{Deserialize, Serialize};

use crate::checkpoint::hash;
use crate::terms::{BaselineVector, Dtype, MethodWithSettings, Output, Quantization, Routing};

/// Raised whenever a change to the engine changes numbers by more than rounding; old parts are then no longer found.
pub const NUMERICS_VERSION: u32 = 3;

/// The model side of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelKey {
    /// [`NUMERICS_VERSION`].
    pub numerics: u32,
    /// Over the weight files.
    pub weights_sha256: String,
    /// Of `config.json`.
    pub config_sha256: String,
    /// Over the tokenizer's files.
    pub tokenizer_sha256: String,
    /// What it computes in.
    pub dtype: Dtype,
    /// How its linear layers are quantised.
    pub quantization: Quantization,
    /// The commit of the hub repository. A folder has none, so that its parts have the names they had before there was
    /// a hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

#[cfg(test)]
impl ModelKey {
    /// Some key.
    pub fn of_a_test() -> Self {
        Self {
            numerics: NUMERICS_VERSION,
            weights_sha256: "w".into(),
            config_sha256: "c".into(),
            tokenizer_sha256: "t".into(),
            dtype: Dtype::F32,
            quantization: Quantization::None,
            revision: None,
        }
    }
}

/// A forward pass: the prediction, and the probability of some tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PredictionKey {
    /// The model.
    pub model: ModelKey,
    /// The prompt's tokens.
    pub token_ids: Vec<u32>,
    /// The tokens whose probability is computed.
    pub asked: Vec<u32>,
    /// The answers of several tokens whose probability is computed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Vec<u32>>,
}

impl PredictionKey {
    /// The key for the probability of every option, each token or answer once and in an order that is always the same.
    pub fn asking(model: ModelKey, token_ids: Vec<u32>, options: &[(&str, Vec<u32>)]) -> Self {
        let (mut asked, mut answers) = (Vec::new(), Vec::new());
        for (_, tokens) in options {
            match tokens[..] {
                [id] => asked.push(id),
                _ => answers.push(tokens.clone()),
            }
        }
        asked.sort_unstable();
        asked.dedup();
        answers.sort_unstable();
        answers.dedup();
        Self {
            model,
            token_ids,
            asked,
            answers,
        }
    }
}

/// What a model says in its own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationKey {
    /// The model.
    pub model: ModelKey,
    /// The prompt's tokens.
    pub token_ids: Vec<u32>,
    /// Tokens at most.
    pub max_new_tokens: usize,
    /// The tokens that end it.
    pub stop: Vec<u32>,
}

/// A map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributionKey {
    /// The model.
    pub model: ModelKey,
    /// The prompt's tokens.
    pub token_ids: Vec<u32>,
    /// One token, or two for a contrast.
    pub target: Vec<u32>,
    /// The tokens before the target's in an answer of several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forced: Vec<u32>,
    /// How many of their first the model is only given: F does not count them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub given: usize,
    /// The unit.
    pub output: Output,
    /// Where the path starts.
    pub baseline: BaselineVector,
    /// How experts are chosen along it; only of a model that has such.
    #[serde(default, skip_serializing_if = "Routing::is_free")]
    pub routing: Routing,
    /// The method, with its settings.
    #[serde(flatten)]
    pub method: MethodWithSettings,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A key of some kind of part.
pub trait Key: Serialize {
    /// The folder its parts lie in.
    const KIND: &'static str;

    /// The part's name: SHA-256 of the key's JSON.
    fn name(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_else(|e| unreachable!("a key is plain data: {e}"));
        hash::of_bytes(&json)
    }
}

impl Key for PredictionKey {
    const KIND: &'static str = "predictions";
}

impl Key for GenerationKey {
    const KIND: &'static str = "generations";
}

impl Key for AttributionKey {
    const KIND: &'static str = "attributions";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::{PathStart, Quadrature, Rule};

    fn key() -> AttributionKey {
        AttributionKey {
            model: ModelKey::of_a_test(),
            token_ids: vec![1, 2],
            target: vec![3],
            forced: vec![],
            given: 0,
            output: Output::Probability,
            baseline: BaselineVector::Zero,
            routing: Routing::Free,
            method: of(fixed(Quadrature::GaussLegendre, 8, false)),
        }
    }

    fn fixed(quadrature: Quadrature, steps: usize, estimate_error: bool) -> Rule {
        Rule::Fixed {
            quadrature,
            steps,
            estimate_error,
        }
    }

    fn of(rule: Rule) -> MethodWithSettings {
        MethodWithSettings::IntegratedGradients(rule)
    }

    fn adaptive(tolerance: f64, max_evaluations: usize) -> Rule {
        Rule::Adaptive {
            tolerance,
            max_evaluations,
        }
    }

    #[test]
    fn everything_the_result_depends_on_changes_the_name() {
        let changes: Vec<fn(&mut AttributionKey)> = vec![
            |k| k.model.numerics += 1,
            |k| k.model.weights_sha256.push('x'),
            |k| k.model.config_sha256.push('x'),
            |k| k.model.tokenizer_sha256.push('x'),
            |k| k.model.dtype = Dtype::Bf16,
            |k| k.model.quantization = Quantization::Nf4,
            |k| k.model.revision = Some("0".repeat(40)),
            |k| k.model.revision = Some("1".repeat(40)),
            |k| k.token_ids = vec![1, 3],
            |k| k.target = vec![3, 4],
            |k| k.forced = vec![4],
            |k| (k.forced, k.given) = (vec![4], 1),
            |k| k.output = Output::Logit,
            |k| k.baseline = BaselineVector::Mean,
            |k| k.routing = Routing::Frozen,
            |k| k.baseline = BaselineVector::ZeroFrom(PathStart::new(1e-4).unwrap()),
            |k| k.baseline = BaselineVector::ZeroFrom(PathStart::new(1e-5).unwrap()),
            |k| k.method = of(fixed(Quadrature::RiemannLeft, 8, false)),
            |k| k.method = of(fixed(Quadrature::GaussLegendre, 9, false)),
            |k| k.method = of(fixed(Quadrature::GaussLegendre, 8, true)),
            |k| k.method = of(adaptive(0.01, 4096)),
            |k| k.method = of(adaptive(0.02, 4096)),
            |k| k.method = of(adaptive(0.01, 4095)),
            |k| k.method = MethodWithSettings::GradientXInput {},
        ];
        let mut names = vec![key().name()];
        for change in changes {
            let mut changed = key();
            change(&mut changed);
            names.push(changed.name());
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_key_reads_back_to_itself() {
        for (rule, revision) in [
            (adaptive(0.1 + 0.2, 7), None),
            (fixed(Quadrature::RiemannMiddle, 5, true), Some("0".repeat(40))),
        ] {
            let mut key = AttributionKey {
                method: of(rule),
                ..key()
            };
            key.model.revision = revision;
            let json = serde_json::to_string(&key).unwrap();
            assert_eq!(serde_json::from_str::<AttributionKey>(&json).unwrap(), key, "{json}");
        }
    }

    #[test]
    fn a_method_without_settings_is_an_entry_of_its_own() {
        let method = MethodWithSettings::GradientXInput {};
        let key = AttributionKey { method, ..key() };
        let json = serde_json::to_string(&key).unwrap();
        assert!(json.ends_with(r#""baseline":"zero","gradient_x_input":{}}"#), "{json}");
        assert_eq!(serde_json::from_str::<AttributionKey>(&json).unwrap(), key);
    }

    #[test]
    fn the_name_of_a_key_stays_what_it_is() {
        // A change here throws away everybody's stored work: raise NUMERICS_VERSION instead, if numbers changed.
        insta::assert_snapshot!(key().name());
    }
}
