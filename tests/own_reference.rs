//! The demo models against numbers that igsite did not compute: float64, in JAX, by `tests/reference/make.py`, which
//! says how it was itself compared with PyTorch and Captum. Ours are in float32.
//!
//! Unlike `reference.rs` this needs nothing from outside the project and never skips.
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use igsite::checkpoint::hash;
use igsite::tokenizer::Tokenizer;
use serde_json::Value;
use support::numbers::{parsed, same_numbers, same_tokens};

fn model_folder(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("content/models").join(model)
}

fn expected(model: &str) -> Value {
    support::json(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reference/{model}.json")))
}

/// All that is expected of a model. The numbers of a model that was since trained again mean nothing, so that comes
/// first.
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

/// The cases of few points, which are quick on a processor that is played.
fn check_at_few_points(model: &str) {
    let mut prompts = expected(model)["prompts"].take();
    let mut kept = 0;
    for prompt in prompts.as_array_mut().unwrap() {
        let cases = prompt["cases"].as_array_mut().unwrap();
        cases.retain(|case| case["steps"].as_u64().unwrap() <= 2);
        kept += cases.len();
    }
    assert!(kept >= 3, "{model} has {kept} such cases");
    same_numbers(&model_folder(model), &prompts);
}

#[test]
fn demo_llama_equals_the_reference_at_few_points() {
    check_at_few_points("demo-llama");
}

#[test]
fn demo_mistral_equals_the_reference_at_few_points() {
    check_at_few_points("demo-mistral");
}

#[test]
fn demo_falcon_equals_the_reference_at_few_points() {
    check_at_few_points("demo-falcon");
}

#[test]
fn the_processor_is_the_one_that_was_chosen() {
    support::processors::told();
}

/// The same numbers on other processors, as kernels are chosen at run time.
mod elsewhere {
    use super::support::processors::{HASWELL, OPTERON};

    const TESTS: [&str; 2] = ["_at_few_points", "the_processor_is"];

    #[test]
    fn without_avx_512_the_references_hold() {
        HASWELL.runs(&TESTS, "elsewhere::", 4);
    }

    #[test]
    fn without_avx_the_references_hold() {
        OPTERON.runs(&TESTS, "elsewhere::", 4);
    }
}
