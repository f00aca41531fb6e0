//! The demo models against numbers that igsite did not make: float64, in JAX, by `tests/reference/make.py`, which says how it was
//! itself held against PyTorch and Captum. Ours are in float32.
//!
//! Unlike `reference.rs` this needs nothing from outside the project and never skips.
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::DType;
use igsite::attribution::integrated_gradients::{Explainer, Scalar, Start};
use igsite::attribution::quadrature;
use igsite::checkpoint::{Checkpoint, hash};
use igsite::content::experiment::{Batch, Output, Quadrature};
use igsite::model::device::Backend;
use igsite::tokenizer::{SpecialKind, Tokenizer};
use serde::de::DeserializeOwned;
use serde_json::Value;

fn model_folder(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("content/models").join(model)
}

fn expected(model: &str) -> Value {
    support::json(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reference/{model}.json")))
}

fn parsed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// All that is expected of a model. The numbers of a model that was since trained again mean nothing, so that comes first.
fn check(model: &str) {
    let (folder, expected) = (model_folder(model), expected(model));
    let files: BTreeMap<String, String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let hash = hash::of_file(&entry.path()).unwrap();
            (entry.file_name().to_string_lossy().into_owned(), hash)
        })
        .collect();
    assert_eq!(
        files,
        parsed(&expected["files"]),
        "{model} is not the model that tests/reference/{model}.json was made from; run tests/reference/make.py again"
    );
    let tokenizer = Tokenizer::open(&folder).unwrap();
    for text in expected["texts"].as_array().unwrap() {
        same_tokens(&tokenizer, text["text"].as_str().unwrap(), text);
    }
    same_numbers(&folder, &expected["prompts"]);
}

/// Ids and character spans of a text; the ids.
fn same_tokens(tokenizer: &Tokenizer, text: &str, expected: &Value) -> Vec<u32> {
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

/// Tokens, logits and scores of the prompts.
#[allow(
    clippy::print_stdout,
    reason = "how close the numbers came, for who asks with --nocapture"
)]
fn same_numbers(folder: &Path, prompts: &Value) {
    let tokenizer = Tokenizer::open(folder).unwrap();
    let checkpoint = Checkpoint::open(folder).unwrap();
    let mut explainer = Explainer::load(&checkpoint, &Backend::cpu(), DType::F32).unwrap();
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
            assert!(deviation < 1e-3, "logit of {id} is off by {deviation}");
        }
        let predicted = (0..logits.len())
            .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
            .unwrap() as u32;
        assert_eq!(predicted, parsed::<u32>(&prompt["predicted_id"]));
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
        for (letter, value) in parsed::<BTreeMap<String, f64>>(&prompt["option_probabilities"]) {
            let ours = f64::from(logits[options[&letter] as usize] - largest).exp() / sum;
            assert!(
                (ours - value).abs() < 1e-3 * value,
                "probability of {letter}: {ours}, not {value}"
            );
        }

        for case in prompt["cases"].as_array().unwrap() {
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
            let points = quadrature::points(rule, parsed(&case["steps"]));
            let scalar = Scalar { token, output, minus };
            let found = explainer
                .attribute(&ids, start, scalar, &points, Batch::Auto, &mut |_| ())
                .unwrap();

            assert_eq!((&found.non_finite, found.evaluations), (&None, points.len()), "{told}");
            let scores: Vec<f64> = parsed(&case["attributions"]);
            let largest = scores.iter().fold(0.0f64, |m, s| m.max(s.abs()));
            assert_eq!(found.scores.len(), scores.len());
            for (at, (ours, theirs)) in found.scores.iter().zip(&scores).enumerate() {
                worst = worst.max((ours - theirs).abs() / largest);
                assert!(
                    (ours - theirs).abs() < 1e-4 * largest,
                    "{told}: score {at} is {ours}, not {theirs}; the largest is {largest}"
                );
            }
            let close = |what: &str, ours: f64, tolerance: f64| {
                let theirs: f64 = parsed(&case[what]);
                assert!(
                    (ours - theirs).abs() < tolerance,
                    "{told}: {what} is {ours}, not {theirs}"
                );
            };
            let all = 1e-4 * largest * scores.len() as f64;
            close("sum", found.sum(), all);
            close("convergence_delta", found.convergence_delta(), all);
            let scale = |what: &str| parsed::<f64>(&case[what]).abs().max(1e-6);
            close("f_input", found.f_input, 1e-4 * scale("f_input"));
            close("f_baseline", found.f_baseline, 1e-4 * scale("f_baseline").max(all));
        }
    }
    println!(
        "{}: scores within {worst:.1e} of the largest, logits within {worst_logit:.1e}",
        folder.display()
    );
}

/// A case's baseline, found in the checkpoint as the plan finds it; a token has to be the one that the reference took.
fn start(case: &Value, checkpoint: &Checkpoint, tokenizer: &Tokenizer) -> Start {
    let special = checkpoint.config.special;
    let name = case["baseline"].as_str().unwrap();
    let token = match name {
        "zero" => return Start::Zero,
        "mean" => return Start::Mean,
        "bos" => special.bos.or_else(|| tokenizer.special(SpecialKind::Bos)),
        "eos" => special.eos.or_else(|| tokenizer.special(SpecialKind::Eos)),
        "pad" => special.pad.or_else(|| tokenizer.special(SpecialKind::Pad)),
        "unk" => tokenizer.special(SpecialKind::Unk),
        other => tokenizer.vocabulary_token(other.strip_prefix("token:").unwrap()),
    };
    assert_eq!(token, Some(parsed(&case["baseline_id"])), "baseline {name}");
    Start::Token(token.unwrap())
}

#[test]
fn demo_llama_equals_the_reference() {
    check("demo-llama");
}

#[test]
fn demo_mistral_equals_the_reference() {
    check("demo-mistral");
}

#[test]
fn demo_falcon_equals_the_reference() {
    check("demo-falcon");
}

#[test]
fn demo_orca_equals_the_reference() {
    check("demo-orca");
}

/// Mistral-7B v0.1 has a window; here the demo's Mistral gets one that is shorter than its prompts.
#[test]
fn a_sliding_window_is_honoured() {
    let expected = &expected("demo-mistral")["sliding_window"];
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(model_folder("demo-mistral")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let mut config = support::json(&copy.path().join("config.json"));
    for (key, value) in expected["config"].as_object().unwrap() {
        config[key] = value.clone();
    }
    std::fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
    same_numbers(copy.path(), &expected["prompts"]);
}
