//! A checkpoint's tokens, logits and scores against a reference in the schema of `tests/reference/*.json`, with the
//! tolerances that the project promises: logits within 1e-3, scores within 1e-4 of the largest score of their case.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::DType;
use igsite::attribution::integral::Nodes;
use igsite::attribution::integrated_gradients::{Explainer, Scalar};
use igsite::attribution::quadrature;
use igsite::checkpoint::Checkpoint;
use igsite::model::device::Backend;
use igsite::terms::{BaselineVector, Batch, DeviceKind, Output, Quadrature};
use igsite::tokenizer::{SpecialKind, Tokenizer};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A part of a reference.
pub fn parsed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// Ids and character spans of a text; the ids.
pub fn same_tokens(tokenizer: &Tokenizer, text: &str, expected: &Value) -> Vec<u32> {
    let tokens = tokenizer.encode(text).unwrap();
    let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
    assert_eq!(ids, parsed::<Vec<u32>>(&expected["ids"]), "ids of {text:?}");
    let spans: Vec<[usize; 2]> = tokens.iter().map(|token| [token.start, token.end]).collect();
    assert_eq!(
        spans,
        parsed::<Vec<[usize; 2]>>(&expected["offsets"]),
        "spans of {text:?}"
    );
    ids
}

/// Where the numbers are computed: `IGSITE_TEST_DEVICE` (default cpu) in `IGSITE_TEST_DTYPE` (default f32). A device
/// that is not there fails the test.
pub fn machine() -> (Backend, DType) {
    let variable = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let device = variable("IGSITE_TEST_DEVICE", "cpu");
    let backend = Backend::open(&device.parse().unwrap()).unwrap();
    assert_eq!(
        device.split(':').next(),
        Some(backend.kind.word()),
        "IGSITE_TEST_DEVICE"
    );
    let dtype = match &*variable("IGSITE_TEST_DTYPE", "f32") {
        "f32" => DType::F32,
        "bf16" => DType::BF16,
        "f16" => DType::F16,
        "f64" => DType::F64,
        other => panic!("IGSITE_TEST_DTYPE is {other}, not f32, f16, bf16 or f64"),
    };
    (backend, dtype)
}

/// Tokens, logits and scores of the prompts. In half precision only tokens and scores, the latter within 3e-2 of
/// the largest.
#[allow(
    clippy::print_stdout,
    reason = "how close the numbers came, for who asks with --nocapture"
)]
pub fn same_numbers(folder: &Path, prompts: &Value) {
    let tokenizer = Tokenizer::open(folder).unwrap();
    let checkpoint = Checkpoint::open(folder).unwrap();
    let (backend, dtype) = machine();
    let exact = matches!(dtype, DType::F32 | DType::F64);
    let tolerance: f64 = if exact { 1e-4 } else { 3e-2 };
    let mut explainer = Explainer::load(&checkpoint, &backend, dtype).unwrap();
    let (mut worst, mut worst_logit) = (0.0f64, 0.0f64);
    for prompt in prompts.as_array().unwrap() {
        let text = prompt["prompt"].as_str().unwrap();
        let ids = same_tokens(&tokenizer, text, prompt);
        let options: BTreeMap<String, u32> = parsed(&prompt["option_ids"]);
        for (letter, &id) in &options {
            assert_eq!(tokenizer.answer_token(text, &ids, letter).unwrap(), id);
        }

        let logits = explainer.logits(&ids).unwrap();
        for (id, value) in parsed::<BTreeMap<usize, f64>>(&prompt["top10"]) {
            let deviation = (f64::from(logits[id]) - value).abs();
            worst_logit = worst_logit.max(deviation);
            assert!(deviation < 1e-3 || !exact, "logit of {id} is off by {deviation}");
        }
        let predicted = (0..logits.len())
            .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
            .unwrap() as u32;
        let expected = parsed::<u32>(&prompt["predicted_id"]);
        assert!(predicted == expected || !exact, "predicted {predicted}, not {expected}");
        let predicted = expected;
        let largest_logit = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest_logit).exp()).sum();
        for (letter, value) in parsed::<BTreeMap<String, f64>>(&prompt["option_probabilities"]) {
            let ours = f64::from(logits[options[&letter] as usize] - largest_logit).exp() / sum;
            assert!(
                (ours - value).abs() < 1e-3 * value || !exact,
                "probability of {letter}: {ours}, not {value}"
            );
        }

        for case in prompt["cases"].as_array().unwrap().iter().take(cases()) {
            let told = format!(
                "{} {} steps, {} baseline, {} of {}",
                case["quadrature"], case["steps"], case["baseline"], case["output"], case["target"]
            );
            let (token, minus) = match &case["target"] {
                Value::Array(pair) => (
                    options[pair[0].as_str().unwrap()],
                    Some(options[pair[1].as_str().unwrap()]),
                ),
                Value::String(word) if word == "predicted" => (predicted, None),
                letter => (options[letter.as_str().unwrap()], None),
            };
            let start = start(case, &checkpoint, &tokenizer);
            let output: Output = parsed(&case["output"]);
            let rule: Quadrature = parsed(&case["quadrature"]);
            let points: std::sync::Arc<[_]> = quadrature::points(rule, parsed(&case["steps"])).into();
            let scalar = Scalar { token, output, minus };
            let count = points.len();
            let rule = Nodes::Fixed { points, check: None };
            let found = explainer.attribute(&ids, start, scalar, rule, Batch::Auto).unwrap();

            assert_eq!((&found.non_finite, found.evaluations), (&None, count), "{told}");
            let scores: Vec<f64> = parsed(&case["attributions"]);
            let largest = scores.iter().fold(0.0f64, |m, s| m.max(s.abs()));
            // What PyTorch's own float32 loses there, relative to the largest score.
            let lost = case.get("float32_deviation").map_or(0.0, parsed::<f64>);
            let tolerance = tolerance.max(10.0 * lost);
            assert_eq!(found.scores.len(), scores.len());
            for (at, (ours, theirs)) in found.scores.iter().zip(&scores).enumerate() {
                worst = worst.max((ours - theirs).abs() / largest);
                assert!(
                    (ours - theirs).abs() < tolerance * largest,
                    "{told}: score {at} is {ours}, not {theirs}; the largest is {largest}"
                );
            }
            if !exact {
                continue;
            }
            let close = |what: &str, ours: f64, tolerance: f64| {
                let theirs: f64 = parsed(&case[what]);
                assert!(
                    (ours - theirs).abs() < tolerance,
                    "{told}: {what} is {ours}, not {theirs}"
                );
            };
            let all = tolerance * largest * scores.len() as f64;
            close("sum", found.sum(), all);
            close("convergence_delta", found.convergence_delta().unwrap(), all);
            let scale = |what: &str| parsed::<f64>(&case[what]).abs().max(1e-6);
            // On a device that adds in another order, or in float64 beside norms that transformers computes in float32
            // whatever the dtype, a logit near zero is as exact as the logits that it stands among.
            let other = backend.kind != DeviceKind::Cpu || dtype == DType::F64;
            let floor = if output == Output::Logit && other {
                1e-5 * f64::from(largest_logit.abs())
            } else {
                0.0
            };
            close("f_input", found.f_input, (1e-4 * scale("f_input")).max(floor));
            close(
                "f_baseline",
                found.f_baseline.unwrap(),
                1e-4 * scale("f_baseline").max(all),
            );
        }
    }
    println!(
        "{}, {dtype:?} on {backend}: scores within {worst:.1e} of the largest, logits within {worst_logit:.1e}",
        folder.display()
    );
}

/// How many cases of each prompt are computed: `IGSITE_TEST_CASES`; all where it is not set. `.ci/run` sets it for software
/// that plays a GPU, on which each takes seconds.
fn cases() -> usize {
    std::env::var("IGSITE_TEST_CASES").map_or(usize::MAX, |count| {
        count.parse().expect("IGSITE_TEST_CASES has to be a number")
    })
}

/// A case's baseline, found in the checkpoint as the plan finds it; a token has to be the one that the reference took.
fn start(case: &Value, checkpoint: &Checkpoint, tokenizer: &Tokenizer) -> BaselineVector {
    let special = checkpoint.config.special;
    let name = case["baseline"].as_str().unwrap();
    let token = match name {
        "zero" => return BaselineVector::Zero,
        "mean" => return BaselineVector::Mean,
        "bos" => special.bos.or_else(|| tokenizer.special(SpecialKind::Bos)),
        "eos" => special.eos.or_else(|| tokenizer.special(SpecialKind::Eos)),
        "pad" => special.pad.or_else(|| tokenizer.special(SpecialKind::Pad)),
        "unk" => tokenizer.special(SpecialKind::Unk),
        other => tokenizer.vocabulary_token(other.strip_prefix("token:").unwrap()),
    };
    // The references that are not the project's own do not name it.
    if let Some(expected) = case.get("baseline_id") {
        assert_eq!(token, Some(parsed(expected)), "baseline {name}");
    }
    BaselineVector::Token(token.unwrap())
}
