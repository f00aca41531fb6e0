//! What a stored part depends on, as a typed value; its name in the store is the SHA-256 of that value's JSON.
//!
//! Never a modification time, never a path: the same model, text and rule have the same name in every project.

use serde::{Deserialize, Serialize};

use crate::checkpoint::hash;
use crate::terms::{BaselineVector, Control, Dtype, MethodWithSettings, Output, Quantization, Routing};

/// Raised whenever a change to the engine changes numbers by more than rounding; old parts are then no longer found.
pub const NUMERICS_VERSION: u32 = 6;

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
    /// The seed by which its parameters were permuted: the control of a test, and no model of anybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permuted: Option<u64>,
    /// Of how many of its last layers, where not of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permuted_layers: Option<usize>,
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
            permuted: None,
            permuted_layers: None,
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
    /// What is replaced at a time: the places of its tokens; only of methods that replace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<Vec<usize>>,
    /// How experts are chosen along it; only of a model that has such.
    #[serde(default, skip_serializing_if = "Routing::is_free")]
    pub routing: Routing,
    /// The method, with its settings.
    #[serde(flatten)]
    pub method: MethodWithSettings,
}

impl AttributionKey {
    /// What is explained: the target's tokens, those before them, and how many of these are only given.
    pub fn explained(&self) -> (&[u32], &[u32], usize) {
        (&self.target, &self.forced, self.given)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Raised whenever the definition of a test changes, or of one of its numbers.
pub const TESTS_VERSION: u32 = 1;

/// A test of a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestKey {
    /// [`TESTS_VERSION`].
    pub tests: u32,
    /// The name of the map's own key, which says the model, the prompt and the target.
    pub map: String,
    /// What removed units become.
    pub replacement: BaselineVector,
    /// The places of each unit's tokens.
    pub units: Vec<Vec<usize>>,
    /// What the map is held against.
    pub controls: Vec<Control>,
    /// The name of the key of the permuted model's map, where that is a control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permuted: Option<String>,
    /// The name of the key of another target's map, where that is a control and there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// Width of the beam search.
    pub beam: usize,
    /// Of what is drawn at random.
    pub seed: u64,
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

impl Key for TestKey {
    const KIND: &'static str = "tests";
}

impl Key for AttributionKey {
    const KIND: &'static str = "attributions";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::{PathStart, Quadrature, Rule, UnitKind};

    fn key() -> AttributionKey {
        AttributionKey {
            model: ModelKey::of_a_test(),
            token_ids: vec![1, 2],
            target: vec![3],
            forced: vec![],
            given: 0,
            output: Output::Probability,
            baseline: BaselineVector::Zero,
            units: vec![],
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

    fn shapley(units: UnitKind, permutations: usize, seed: u64) -> MethodWithSettings {
        MethodWithSettings::Shapley {
            units,
            permutations,
            seed,
        }
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
            |k| k.method = MethodWithSettings::Gim {},
            |k| k.method = MethodWithSettings::Occlusion { units: UnitKind::Word },
            |k| k.method = shapley(UnitKind::Word, 25, 0),
            |k| k.method = shapley(UnitKind::Segment, 25, 0),
            |k| k.method = shapley(UnitKind::Word, 26, 0),
            |k| k.method = shapley(UnitKind::Word, 25, 1),
            |k| k.units = vec![vec![0], vec![1]],
            |k| k.units = vec![vec![0, 1]],
            |k| k.model.permuted = Some(0),
            |k| k.model.permuted = Some(1),
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
