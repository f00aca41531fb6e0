//! Numbers of PyTorch, transformers and Captum in float64, on tiny checkpoints of all four layouts, against ours in float32.
//!
//! The checkpoints are not part of the project; where they are missing these tests skip with a printed reason. The same ground
//! is covered by `own_reference.rs` with data the project makes.
#![allow(
    clippy::print_stdout,
    reason = "a skipped test says why, a measuring one what it measured"
)]
mod support;

use std::path::Path;

use burn::tensor::DType;
use igsite::attribution::integrated_gradients::{Explainer, Scalar, Start};
use igsite::attribution::quadrature;
use igsite::checkpoint::Checkpoint;
use igsite::content::experiment::{Batch, Output, Quadrature};
use igsite::model::device::Backend;
use igsite::tokenizer::Tokenizer;
use serde_json::Value;

fn check(family: &str) {
    let Some(folder) = support::shared(&format!("reference/{family}")) else {
        return;
    };
    let expected = support::json(&folder.join("expected.json"));
    let tokenizer = Tokenizer::open(&folder).unwrap();
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let mut explainer = Explainer::load(&checkpoint, &Backend::cpu(), DType::F32).unwrap();
    let (mut worst, mut worst_logit) = (0.0f64, 0.0f64);
    for prompt in expected["prompts"].as_array().unwrap() {
        let text = prompt["prompt"].as_str().unwrap();
        let tokens = tokenizer.encode(text).unwrap();
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        assert_eq!(ids, numbers(&prompt["ids"]), "{family}: token ids");
        let spans: Vec<[usize; 2]> = tokens.iter().map(|token| [token.start, token.end]).collect();
        assert_eq!(
            spans,
            serde_json::from_value::<Vec<[usize; 2]>>(prompt["offsets"].clone()).unwrap()
        );
        for (letter, id) in prompt["option_ids"].as_object().unwrap() {
            assert_eq!(
                u64::from(tokenizer.answer_token(text, &ids, letter).unwrap()),
                id.as_u64().unwrap()
            );
        }

        let logits = explainer.logits(&ids).unwrap();
        for (id, value) in prompt["top10"].as_object().unwrap() {
            let deviation = (f64::from(logits[id.parse::<usize>().unwrap()]) - value.as_f64().unwrap()).abs();
            worst_logit = worst_logit.max(deviation);
            assert!(deviation < 1e-3, "{family}: logit of {id} is off by {deviation}");
        }
        let predicted = (0..logits.len())
            .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
            .unwrap();
        assert_eq!(predicted as u64, prompt["predicted_id"].as_u64().unwrap());

        for case in prompt["cases"].as_array().unwrap() {
            let option = |letter: &Value| prompt["option_ids"][letter.as_str().unwrap()].as_u64().unwrap() as u32;
            let (token, minus) = match &case["target"] {
                Value::String(word) if word == "predicted" => (predicted as u32, None),
                Value::Array(pair) => (option(&pair[0]), Some(option(&pair[1]))),
                letter => (option(letter), None),
            };
            let output: Output = serde_json::from_value(case["output"].clone()).unwrap();
            let rule: Quadrature = serde_json::from_value(case["quadrature"].clone()).unwrap();
            let start = match case["baseline"].as_str().unwrap() {
                "zero" => Start::Zero,
                "mean" => Start::Mean,
                _ => Start::Token(checkpoint.config.special.eos.unwrap()),
            };
            let points = quadrature::points(rule, case["steps"].as_u64().unwrap() as usize);
            let scalar = Scalar { token, output, minus };
            let found = explainer
                .attribute(&ids, start, scalar, &points, Batch::Auto, &mut |_| ())
                .unwrap();
            let scores: Vec<f64> = serde_json::from_value(case["attributions"].clone()).unwrap();
            let largest = scores.iter().fold(0.0f64, |m, s| m.max(s.abs()));
            let close = |what: &str, ours: f64, theirs: &Value, tolerance: f64| {
                let theirs = theirs.as_f64().unwrap();
                assert!(
                    (ours - theirs).abs() < tolerance,
                    "{family} {case:.60}: {what} {ours}, not {theirs}"
                );
            };
            for (ours, theirs) in found.scores.iter().zip(&scores) {
                worst = worst.max((ours - theirs).abs() / largest);
                assert!(
                    (ours - theirs).abs() < 1e-4 * largest,
                    "{family}: {ours}, not {theirs} of {largest}\n{case:.80}"
                );
            }
            assert_eq!(found.evaluations, points.len());
            let all = 1e-4 * largest * scores.len() as f64;
            close("sum", found.sum(), &case["sum"], all);
            close("delta", found.convergence_delta(), &case["convergence_delta"], all);
            let scale = case["f_input"].as_f64().unwrap().abs().max(1e-6);
            close("F(input)", found.f_input, &case["f_input"], 1e-4 * scale);
            let scale = case["f_baseline"].as_f64().unwrap().abs().max(1e-6);
            close(
                "F(baseline)",
                found.f_baseline,
                &case["f_baseline"],
                1e-4 * scale.max(all),
            );
        }
    }
    println!("{family}: scores within {worst:.1e} of the largest, logits within {worst_logit:.1e}");
}

fn numbers(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn mistral_equals_pytorch_and_captum() {
    check("mistral");
}

#[test]
fn llama_equals_pytorch_and_captum() {
    check("llama");
}

#[test]
fn falcon_equals_pytorch_and_captum() {
    check("falcon");
}

#[test]
fn orca_equals_pytorch_and_captum() {
    check("orca");
}

#[test]
fn the_notebooks_prompt_has_the_known_tokens() {
    let Some(path) = support::shared("reference/seed_prompt_ids.json") else {
        return;
    };
    let expected = support::json(&path);
    let prompt = expected["prompt"].as_str().unwrap();
    for (name, family) in [
        ("mistralai/Mistral-7B-Instruct-v0.2", "mistral"),
        ("meta-llama/Llama-2-7b-chat-hf", "llama"),
        ("tiiuae/falcon-7b-instruct", "falcon"),
        ("microsoft/Orca-2-7b", "orca"),
    ] {
        let model = expected["models"]
            .get(name)
            .unwrap_or_else(|| panic!("{:?}", expected["models"]));
        let tokenizer = Tokenizer::open(&path.parent().unwrap().join(family)).unwrap();
        let ids: Vec<u32> = tokenizer.encode(prompt).unwrap().iter().map(|token| token.id).collect();
        assert_eq!(ids, numbers(&model["ids"]), "{name}");
        if family == "mistral" {
            let options = ["A", "B", "C", "D", "E", "F"].map(|l| tokenizer.answer_token(prompt, &ids, l).unwrap());
            assert_eq!(options, [28741, 28760, 28743, 28757, 28749, 28765]);
        }
    }
}

/// SentencePiece's file and Hugging Face's must split every text alike: Llama's own tokenizer in both forms.
#[test]
fn tokenizer_model_equals_tokenizer_json_on_liar() {
    let (Some(reference), Some(liar)) = (support::shared("reference"), support::shared("liar/train.tsv")) else {
        return;
    };
    let json = Tokenizer::open(&reference.join("llama")).unwrap();
    let model = Tokenizer::open(&reference.join("orca")).unwrap();
    for (number, line) in std::fs::read_to_string(&liar)
        .unwrap()
        .split('\n')
        .enumerate()
        .step_by(7)
    {
        assert_eq!(
            json.encode(line).unwrap(),
            model.encode(line).unwrap(),
            "line {number}: {line}"
        );
    }
    for odd in [
        "",
        " ",
        "  two  blanks ",
        "é 你好 🦀\u{0}\u{feff}\u{202e}",
        "<s> </s>",
        "\t\n\r\n",
    ] {
        assert_eq!(json.encode(odd).unwrap(), model.encode(odd).unwrap(), "{odd:?}");
    }
}

#[test]
fn stories260k_tells_a_story() {
    let Some(folder) = support::shared("models/stories260K") else {
        return;
    };
    let text = continued(&folder, "Once upon a time, there was a", 40);
    // llama2.c's test_all.py expects this continuation of the greedy choice from <s>.
    assert!(
        text.starts_with("Once upon a time, there was a little girl named Lily. She loved to play"),
        "{text}"
    );
}

fn continued(folder: &Path, prompt: &str, count: usize) -> String {
    let tokenizer = Tokenizer::open(folder).unwrap();
    let checkpoint = Checkpoint::open(folder).unwrap();
    let explainer = Explainer::load(&checkpoint, &Backend::cpu(), DType::F32).unwrap();
    let mut ids: Vec<u32> = tokenizer.encode(prompt).unwrap().iter().map(|token| token.id).collect();
    for _ in 0..count {
        let logits = explainer.logits(&ids).unwrap();
        ids.push(
            (0..logits.len())
                .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
                .unwrap() as u32,
        );
    }
    tokenizer.decode(&ids)
}
