//! Numbers of PyTorch, transformers and Captum in float64, on tiny checkpoints of all four layouts, against ours in
//! float32.
//!
//! The checkpoints are not part of the project; where they are missing these tests skip with a printed reason. The same
//! ground is covered by `own_reference.rs` with data the project makes.
#![allow(clippy::print_stdout, reason = "what was measured, for who asks with --nocapture")]
mod support;

use std::path::Path;

use burn::tensor::DType;
use igsite::attribution::integrated_gradients::Explainer;
use igsite::checkpoint::Checkpoint;
use igsite::model::device::Backend;
use igsite::tokenizer::Tokenizer;
use support::numbers::{parsed, same_numbers};

fn check(family: &str) {
    let Some(folder) = support::shared(&format!("reference/{family}")) else {
        return;
    };
    let expected = support::json(&folder.join("expected.json"));
    same_numbers(&folder, &expected["prompts"]);
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
        assert_eq!(ids, parsed::<Vec<u32>>(&model["ids"]), "{name}");
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
